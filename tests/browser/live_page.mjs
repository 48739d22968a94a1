// The live page in a real browser, against the real binary. Run by hand:
//
//   cargo build && npm install --prefix target/browser playwright-core && node tests/browser/live_page.mjs
//
// TAPELINE names another binary, CHROMIUM another browser; SCREENSHOTS a folder that gets a picture of each state.
// The last line is `N passed, N failed`.

import assert from 'node:assert/strict'
import { spawn, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '../..')
const { chromium } = createRequire(join(root, 'target/browser/'))('playwright-core')
const binary = process.env.TAPELINE ?? join(root, 'target/debug/tapeline')
const browserPath = process.env.CHROMIUM ?? execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim()
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync']

class Hub {
  static async start(address = '127.0.0.1:0', ...more) {
    const process = spawn(binary, ['serve', '--listen', address, ...more], { stdio: ['ignore', 'pipe', 'ignore'] })
    const hub = Object.assign(new Hub(), { process })
    hub.address = await new Promise((resolve, reject) => {
      let said = ''
      process.stdout.on('data', text => {
        const found = /listening on http:\/\/(\S+)/.exec(said += text)
        if (found) resolve(found[1])
      })
      process.on('error', reject)
      process.on('exit', code => reject(new Error(`the hub ended with ${code}`)))
    })
    return hub
  }

  get url() { return `http://${this.address}/` }

  async publish(channel, data) {
    const answer = await fetch(this.url + 'publish', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ channel, data }),
    })
    assert.equal(answer.status, 200, await answer.text())
  }

  kill() {
    if (this.process.exitCode !== null || this.process.signalCode) return Promise.resolve()
    const ended = new Promise(resolve => this.process.once('exit', resolve))
    this.process.kill('SIGKILL')
    return ended
  }
}

const price = (symbol, price, change = 0) => ({ symbol, price, change, volume: 1000 })
const row = (page, symbol) => page.locator('#prices tr').filter({ has: page.getByRole('button', { name: symbol, exact: true }) })
const cell = async (page, symbol, n) => (await row(page, symbol).locator('td').nth(n).textContent()).trim()
const state = (page, text) => page.getByText(text, { exact: true }).waitFor()

async function until(holds, what) {
  const end = Date.now() + 15_000
  while (!await holds()) {
    assert(Date.now() < end, `waited in vain: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

async function snap(page, name) {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, name + '.png') })
}

const tests = {
  async 'an empty hub says how to publish, and what is published so appears'(page, open) {
    const hub = await open()
    await page.locator('#empty').waitFor()
    const line = await page.locator('#curl').textContent()
    assert(line.includes(`curl ${hub.url}publish`), line)
    await snap(page, 'empty')
    execFileSync('sh', ['-c', line], { stdio: 'ignore' })
    await row(page, 'AAPL').waitFor()
    assert.equal(await cell(page, 'AAPL', 0), '189.50')
    assert(await page.locator('#empty').isHidden())
  },

  async 'a price that moves says so by sign and colour'(page, open) {
    const hub = await open()
    await hub.publish('market_data:X', price('X', 10))
    await row(page, 'X').waitFor()
    await hub.publish('market_data:X', price('X', 10.5, 0.5))
    await until(async () => await cell(page, 'X', 0) === '10.50', 'the new price')
    assert.equal(await cell(page, 'X', 1), '▲ +0.50')
    await hub.publish('market_data:X', price('X', 10.125, -0.375))
    await until(async () => await cell(page, 'X', 1) === '▼ −0.375', 'the change downwards')
    assert.equal(await row(page, 'X').locator('td.down').count(), 1)
  },

  async 'a price that has stopped turns grey and says for how long, until the next'(page, open) {
    const hub = await open()
    await hub.publish('market_data:X', price('X', 10))
    await row(page, 'X').waitFor()
    assert.equal(await row(page, 'X').getAttribute('class'), '')
    await until(async () => await row(page, 'X').getAttribute('class') === 'stale', 'grey after 5 s')
    assert.match(await cell(page, 'X', 3), /^stale \d+ s$/)
    await hub.publish('market_data:X', price('X', 11))
    await until(async () => await row(page, 'X').getAttribute('class') === '', 'fresh again')
  },

  async 'a value that was old before the page came is grey at once'(page, open, start) {
    const hub = await start()
    await hub.publish('market_data:X', price('X', 10))
    await new Promise(resolve => setTimeout(resolve, 5_500))
    await page.goto(hub.url)
    await row(page, 'X').waitFor()
    assert.match(await cell(page, 'X', 3), /^stale [5-7] s$/)
  },

  async 'what people publish is shown as text'(page, open) {
    const hub = await open()
    const evil = '<img/src=x/onerror=alert(1)>'
    await hub.publish('market_data:' + evil, price(evil, evil, evil))
    await hub.publish('trades:portfolio-123',
      { portfolio_id: 'portfolio-123', symbol: evil, trade_type: evil, quantity: 1, price: 1 })
    await row(page, evil).waitFor()
    await page.locator('#trade-rows tr').first().waitFor()
    assert.equal(await page.locator('img').count(), 0)
  },

  async 'the demo moves, with a book, trades and counts'(page, open) {
    await open('--demo')
    for (const symbol of ['AAPL', 'TSLA', 'MSFT', 'BTC/USD', 'EUR/USD']) await row(page, symbol).waitFor()
    const first = await cell(page, 'AAPL', 0)
    await until(async () => await cell(page, 'AAPL', 0) !== first, 'another price')
    await row(page, 'BTC/USD').getByRole('button').click()
    await page.getByText(/^Order book BTC\/USD · \d+ s$/).waitFor()
    await until(async () => await page.locator('#book tr').count() === 8, 'eight levels')
    await until(async () => await page.locator('#trade-rows tr').count() === 10, 'ten trades')
    await until(async () => /^\d+$/.test(await page.locator('#published').textContent()), 'a rate')
    await snap(page, 'demo')
    await page.emulateMedia({ colorScheme: 'dark' })
    await snap(page, 'demo-dark')
  },

  async 'when the hub is gone old values stay, grey; when it is back they go on'(page, open, start) {
    const hub = await open('--demo')
    await row(page, 'AAPL').waitFor()
    await until(async () => await page.locator('#trade-rows tr').count() > 0, 'a trade')
    await hub.kill()
    await state(page, 'reconnecting')
    await until(async () => await page.locator('#prices tr.stale').count() === 5, 'all grey')
    assert.match(await cell(page, 'AAPL', 0), /^\d+\.\d\d$/)
    assert.equal(await page.locator('#trade-rows').getAttribute('class'), 'stale')
    await until(async () => /^in \d+ s$/.test(await page.locator('#wait').textContent()), 'the countdown')
    await snap(page, 'gone')
    await start(hub.address, '--demo')
    await state(page, 'connected')
    await until(async () => await page.locator('#prices tr.stale').count() === 0, 'all fresh')
    await until(async () => !(await page.locator('#book-title').getAttribute('class')), 'the book is fresh')
  },
}

if (process.env.SCREENSHOTS) {
  tests['EUR/USD of the demo stops every minute'] = async (page, open) => {
    await open('--demo')
    await page.locator('#prices tr.stale').waitFor({ timeout: 60_000 })
    await row(page, 'EUR/USD').getByRole('button').click()
    await new Promise(resolve => setTimeout(resolve, 3_000))
    await snap(page, 'stale')
    await page.emulateMedia({ colorScheme: 'dark' })
    await snap(page, 'stale-dark')
    await page.setViewportSize({ width: 390, height: 800 })
    await snap(page, 'stale-narrow')
  }
}

const profile = mkdtempSync(join(tmpdir(), 'tapeline-page-'))
const context = await chromium.launchPersistentContext(profile, {
  executablePath: browserPath, args: flags, headless: true, viewport: { width: 1100, height: 640 }, colorScheme: 'light',
})
let failed = 0
for (const [name, test] of Object.entries(tests)) {
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  const hubs = [], errors = []
  page.on('pageerror', error => errors.push(error))
  const start = async (...options) => {
    const hub = await Hub.start(...options)
    hubs.push(hub)
    return hub
  }
  const open = async (...more) => {
    const hub = await start('127.0.0.1:0', ...more)
    await page.goto(hub.url)
    await state(page, 'connected')
    return hub
  }
  try {
    await test(page, open, start)
    assert.deepEqual(errors, [])
    console.log(`ok      ${name}`)
  } catch (error) {
    failed += 1
    console.log(`failed  ${name}\n${error.stack}\n${errors.join('\n')}`)
  }
  await page.close()
  for (const hub of hubs) await hub.kill()
}
await context.close()
rmSync(profile, { recursive: true, force: true })
console.log(`${Object.keys(tests).length - failed} passed, ${failed} failed`)
process.exitCode = failed ? 1 : 0
