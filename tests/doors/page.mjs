// Code that stands in a page of docs/guide, as files to run.

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { here } from './hub.mjs'

const guide = join(here, '../../docs/guide')

/** Saves every block of the page whose first line names a file, its addresses replaced; answers the folder. */
export function saved(t, page, addresses = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'tapeline-page-'))
  t.after(() => rmSync(folder, { recursive: true }))
  symlinkSync(join(process.env.PACKAGES ?? here, 'node_modules'), join(folder, 'node_modules'))
  const text = readFileSync(join(guide, page), 'utf8')
  const blocks = [...text.matchAll(/^```\w+\n(?:#|\/\/) ([\w.-]+\.\w+)\n([^]*?)^```$/gm)]
  assert(blocks.length > 0, `${page} has no block with a name`)
  for (const [block, name] of blocks) {
    const code = block.split('\n').slice(1, -1).join('\n')
    const there = Object.entries(addresses).reduce((text, [from, to]) => text.replaceAll(from, to), code)
    writeFileSync(join(folder, name), there + '\n')
  }
  return folder
}
