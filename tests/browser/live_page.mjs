// The live page in a real browser, against the real binary. `cargo xtask test --only browser` sets TAPELINE, PACKAGES and
// CHROMIUM; SCREENSHOTS names a folder that gets a picture of each state, in another test too. The last line is
// `N passed, N failed`.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Hub, packages } from '../documents/hub.mjs'
import { RawClient } from './raw_client.mjs'

const { chromium } = packages('playwright-core')
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync']

const AT_ONCE = 3

const publish = (hub, channel, data) => hub.post('/publish', { channel, data })
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))
const price = (symbol, price, change = 0) => ({ symbol, price, change, volume: 1000 })
const row = (page, symbol) => page.locator('#prices tr').filter({ has: page.getByRole('button', { name: symbol, exact: true }) })
const cell = async (page, symbol, n) => (await row(page, symbol).locator('td').nth(n).textContent()).trim()
const text = async (page, id) => (await page.locator('#' + id).textContent()).trim()
const line = (page, part, name) => page.locator(`#${part} tr`).filter({ has: page.getByRole('rowheader', { name, exact: true }) })
const KEY = 'tk_0a1b2c3d4e5f_p5YbZ3uWqX0cVn8RtLkJ2hGfD7sA1mEo'
const EVIL = '<img/src=x/onerror=alert(1)>'
const state = (page, text) => page.getByText(text, { exact: true }).waitFor()

async function until(holds, what) {
  const end = Date.now() + 30_000
  while (!await holds()) {
    assert(Date.now() < end, `waited in vain: ${what}`)
    await pause(50)
  }
}

// Does it again and again until that holds.
async function steadily(act, holds, what) {
  await until(async () => { await act(); await pause(50); return holds() }, what)
}

async function snap(page, name) {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, name + '.png') })
}

// A hub that asks who is there, as far as the page meets it: its answers stand in for the real one's, which passes the rest on.
// `takes` says what becomes of a token.
async function guard(page, takes) {
  const heard = { tokens: [], subscribed: [], headers: [] }
  await page.route('**/health', route => route.fulfill({ json: { authentication: 'on' } }))
  await page.route('**/stats', route => {
    heard.headers.push(route.request().headers().authorization)
    const error = { code: 'invalid_token', message: 'a token or a key is missing' }
    return route.fulfill({ status: 401, json: { error } })
  })
  await page.routeWebSocket('**/ws', socket => {
    let known = false
    const say = frame => socket.send(JSON.stringify(frame))
    heard.say = say
    heard.close = code => socket.close({ code, reason: 'as the test wants' })
    socket.onMessage(text => {
      const { action, token, channel, req } = JSON.parse(text)
      if (action === 'ping') say({ type: 'pong', time: new Date().toISOString() })
      if (action === 'token') {
        heard.tokens.push(token)
        if (known = takes(token)) return say({ type: 'token_ok', expires_at: '2100-01-01T00:00:00Z', req })
        say({ type: 'error', code: 'invalid_token', message: EVIL, req })
        socket.close({ code: 1008, reason: 'it is not believed' })
      }
      if (action !== 'subscribe') return
      if (!known) return say({ type: 'error', code: 'invalid_token', message: 'say first who you are' })
      heard.subscribed.push(channel)
      say({ type: 'subscription_confirmed', channel, offset: 0, epoch: 'e' })
    })
  })
  return heard
}

const paste = async (page, token) => { await page.locator('#token').fill(token); await page.keyboard.press('Enter') }

const tests = {
  async 'a hub that wants a token is given one, on the socket and with each request'(page, open, start) {
    const hub = await start()
    const heard = await guard(page, token => token === 'good')
    await page.goto(`http://${hub.address}/`)
    await state(page, 'a token is wanted')
    await page.getByText('The hub wants a token:').waitFor()
    assert(await page.locator('#unguarded').isHidden())
    await snap(page, 'token')
    await page.emulateMedia({ colorScheme: 'dark' })
    await snap(page, 'token-dark')
    await page.emulateMedia({ colorScheme: 'light' })
    await paste(page, 'bad')
    await page.getByText('The hub does not take the token: ' + EVIL).waitFor()
    assert.equal(await page.locator('img').count(), 0)
    await paste(page, ' good ')
    await state(page, 'connected')
    await until(() => heard.subscribed.includes('market_data'), 'the subscription')
    assert(await page.locator('#door').isHidden())
    await until(() => heard.headers.includes('Bearer good'), 'a request with the token')
    await page.getByText('These figures are for operators').waitFor()
    // It is kept in this tab, and nowhere else.
    assert.deepEqual(await page.evaluate(() => [localStorage.length, document.cookie, location.search]), [0, '', ''])
    await page.reload()
    await state(page, 'connected')
    assert.deepEqual(heard.tokens, ['bad', 'good', 'good'])
  },

  async 'a hub with keys shows its prices to who has one, and to nobody else'(page, open, start) {
    const config = `[[auth.key]]\nid = "0a1b2c3d4e5f"\nhash = "sha256:${createHash('sha256').update(KEY).digest('hex')}"\n` +
      'publish = ["*"]\noperator = true\n'
    const hub = await start({ config })
    await page.goto(`http://${hub.address}/`)
    await page.getByText('The hub wants a token:').waitFor()
    await paste(page, KEY)
    await state(page, 'connected')
    const headers = { 'content-type': 'application/json', authorization: 'Bearer ' + KEY }
    const body = JSON.stringify({ channel: 'market_data:X', data: price('X', 10) })
    assert.equal((await fetch(`http://${hub.address}/publish`, { method: 'POST', headers, body })).status, 200)
    await row(page, 'X').waitFor()
    await until(async () => /^\d+$/.test(await text(page, 'connections')), 'the figures')
    assert.match(await text(page, 'no-trades'), /^Not for this token: /)
    await snap(page, 'key')
  },

  async 'a token about to end is replaced on the connection that stands, and one that has ended after it'(page, open, start) {
    const hub = await start()
    const heard = await guard(page, token => token !== null)
    await page.goto(`http://${hub.address}/`)
    await paste(page, 'one')
    await state(page, 'connected')
    heard.say({ type: 'token_expiring', in_s: 60 })
    await page.getByText('The token ends in 60 s. Another one:').waitFor()
    await state(page, 'connected')
    await snap(page, 'token-expiring')
    await paste(page, 'two')
    await page.locator('#door').waitFor({ state: 'hidden' })
    heard.close(4001)
    await page.getByText('The token has ended. Another one:').waitFor()
    await state(page, 'a token is wanted')
    await paste(page, 'three')
    await state(page, 'connected')
    assert.deepEqual(heard.tokens, ['one', 'two', 'three'])
    heard.close(4003)
    await page.getByText('The token was revoked. Another one:').waitFor()
  },

  async 'an empty hub says how to publish, and what is published so appears'(page, open) {
    const hub = await open()
    await page.locator('#empty').waitFor()
    const line = await page.locator('#curl').textContent()
    assert(line.includes(`curl http://${hub.address}/publish`), line)
    await snap(page, 'empty')
    execFileSync('sh', ['-c', line], { stdio: 'ignore' })
    await row(page, 'AAPL').waitFor()
    assert.equal(await cell(page, 'AAPL', 0), '189.50')
    assert(await page.locator('#empty').isHidden())
  },

  async 'a price that moves says so by sign and colour'(page, open) {
    const hub = await open()
    await publish(hub, 'market_data:X', price('X', 10))
    await row(page, 'X').waitFor()
    await publish(hub, 'market_data:X', price('X', 10.5, 0.5))
    await until(async () => await cell(page, 'X', 0) === '10.50', 'the new price')
    assert.equal(await cell(page, 'X', 1), '▲ +0.50')
    await publish(hub, 'market_data:X', price('X', 10.125, -0.375))
    await until(async () => await cell(page, 'X', 1) === '▼ −0.375', 'the change downwards')
    assert.equal(await row(page, 'X').locator('td.down').count(), 1)
  },

  async 'a price that has stopped turns grey and says for how long, until the next'(page, open) {
    const hub = await open()
    await publish(hub, 'market_data:X', price('X', 10))
    await row(page, 'X').waitFor()
    assert.equal(await row(page, 'X').getAttribute('class'), '')
    await until(async () => await row(page, 'X').getAttribute('class') === 'stale', 'grey after 5 s')
    assert.match(await cell(page, 'X', 3), /^stale \d+ s$/)
    await publish(hub, 'market_data:X', price('X', 11))
    await until(async () => await row(page, 'X').getAttribute('class') === '', 'fresh again')
  },

  async 'a value that was old before the page came is grey at once'(page, open, start) {
    const hub = await start()
    await publish(hub, 'market_data:X', price('X', 10))
    await pause(5_500)
    await page.goto(`http://${hub.address}/`)
    await row(page, 'X').waitFor()
    assert.match(await cell(page, 'X', 3), /^stale [5-7] s$/)
  },

  async 'what people publish is shown as text'(page, open) {
    const hub = await open()
    await publish(hub, 'market_data:' + EVIL, price(EVIL, 1))
    await publish(hub, 'trades:portfolio-123',
      { portfolio_id: 'portfolio-123', symbol: EVIL, trade_type: 'BUY', quantity: 1, price: 1 })
    await row(page, EVIL).waitFor()
    await page.locator('#trade-rows tr').first().waitFor()
    assert.equal(await page.locator('img').count(), 0)
  },

  async 'what is published cannot become a script, even past an escape that is missing'(page, open) {
    const hub = await open()
    await publish(hub, 'market_data:X', price('X', 1))
    await row(page, 'X').waitFor()
    const broken = page.waitForEvent('console', message => message.text().includes('Content Security Policy'))
    // As if the page had put text in as HTML.
    await page.locator('#prices').evaluate((body, evil) => { body.innerHTML = evil }, `<tr><td><img src=x onerror="window.hit=1">`)
    await broken
    assert.equal(await page.evaluate(() => window.hit), undefined)
    const policy = (await (await fetch(`http://${hub.address}/`)).headers.get('content-security-policy'))
    assert.match(policy, /default-src 'none'.*script-src 'self'.*frame-ancestors 'none'/)
  },

  async 'a hub without authentication says so'(page, open) {
    await open()
    await page.getByText('Authentication is off').waitFor()
    assert(await page.locator('#door').isHidden())
    await snap(page, 'unguarded')
  },

  async 'the demo moves, with a book, trades and counts'(page, open) {
    await open({ flags: ['--demo'] })
    for (const symbol of ['AAPL', 'TSLA', 'MSFT', 'BTC/USD', 'EUR/USD']) await row(page, symbol).waitFor()
    const first = await cell(page, 'AAPL', 0)
    await until(async () => await cell(page, 'AAPL', 0) !== first, 'another price')
    await row(page, 'BTC/USD').getByRole('button').click()
    await page.getByText(/^Order book BTC\/USD · \d+ s$/).waitFor()
    await until(async () => await page.locator('#book tr').count() === 8, 'eight levels')
    await until(async () => await page.locator('#trade-rows tr').count() === 10, 'ten trades')
    await until(async () => /^\d+$/.test(await page.locator('#published').textContent()), 'a rate')
    await until(async () => (await text(page, 'busiest')).includes('market_data:AAPL'), 'the busiest channels')
    // One word about the connection is read aloud; figures that change every second are not.
    assert.equal(await page.locator('[role=status], [role=alert], [role=log], [aria-live]').count(), 1)
    await snap(page, 'demo')
    await page.emulateMedia({ colorScheme: 'dark' })
    await snap(page, 'demo-dark')
  },

  async 'when the hub is gone old values stay, grey; when it is back they go on'(page, open, start) {
    const hub = await open({ flags: ['--demo'] })
    await row(page, 'AAPL').waitFor()
    await until(async () => await page.locator('#trade-rows tr').count() > 0, 'a trade')
    await hub.stop('SIGKILL')
    await state(page, 'reconnecting')
    await until(async () => await page.locator('#prices tr.stale').count() === 5, 'all grey')
    assert.match(await cell(page, 'AAPL', 0), /^\d+\.\d\d$/)
    assert.equal(await page.locator('#trade-rows').getAttribute('class'), 'stale')
    await page.locator('#inside.stale').waitFor()
    assert.equal(await text(page, 'connections'), '–')
    await until(async () => /^in \d+ s$/.test(await page.locator('#wait').textContent()), 'the countdown')
    await snap(page, 'gone')
    await start({ address: hub.address, flags: ['--demo'] })
    await state(page, 'connected')
    await until(async () => await page.locator('#prices tr.stale').count() === 0, 'all fresh')
    await until(async () => !(await page.locator('#book-title').getAttribute('class')), 'the book is fresh')
    await until(async () => await page.locator('#inside.stale').count() === 0, 'the counts are fresh')
  },

  async 'rates and delays appear with the traffic, and where it is'(page, open) {
    const hub = await open()
    await until(async () => await text(page, 'published') === '0', 'a first rate')
    assert.equal(await text(page, 'p50'), '–')
    await steadily(() => publish(hub, 'market_data:X', price('X', Math.random())), async () =>
      /^[1-9]\d*$/.test(await text(page, 'published')) && /^[1-9]\d*$/.test(await text(page, 'delivered')) &&
      /^≤ [\d.]+ ms$/.test(await text(page, 'p50')) && /^≤ [\d.]+ ms$/.test(await text(page, 'p99')), 'rates and delays')
    await line(page, 'busiest', 'market_data:X').waitFor()
    const [perSecond, heardBy] = await line(page, 'busiest', 'market_data:X').locator('td').allTextContents()
    assert(Number(perSecond) > 0, perSecond)
    assert.equal(heardBy, '1')
  },

  async 'a client that does not read is named as it calls itself, until it reads again'(page, open, start, t) {
    const hub = await open()
    await page.getByText('No client is slow').waitFor()
    const before = await page.locator('#dropped').boundingBox()
    const slow = await RawClient.connect(t, hub, EVIL)
    slow.send({ action: 'subscribe', channel: 'flood', delivery: 'latest' })
    await until(async () => (await text(page, 'connections')) === '2', 'two connections')
    slow.stopReading()
    const named = line(page, 'slow', `${EVIL} (127.0.0.1)`)
    const large = 'x'.repeat(50_000)
    await steadily(() => Promise.all(Array.from({ length: 30 }, () => publish(hub, 'flood', large))), async () =>
      await named.count() === 1 && /^pressure [\d,]+$/.test(await text(page, 'conflated-by')), 'the slow client')
    await page.getByText('Slow clients').waitFor()
    const [waiting, blocked, , conflated] = await named.locator('td').allTextContents()
    assert.match(waiting, /^[\d.,]+ (KiB|MiB)$/)
    assert.match(blocked, /^[\d.]+ s$/)
    assert.match(conflated, /^[1-9][\d,]*$/)
    assert.equal((await page.locator('#dropped').boundingBox()).x, before.x)
    assert.equal(await page.locator('img').count(), 0)
    await snap(page, 'slow')
    slow.readOn()
    await page.getByText('No client is slow').waitFor()
    assert.equal(await named.count(), 0)
    await until(async () => await text(page, 'waiting') === '0 B', 'nothing waits')
  },

  async 'a channel that goes quiet is named with its state, until it speaks again'(page, open) {
    const hub = await open()
    const channel = 'market_data:' + EVIL
    const quiet = line(page, 'late', channel)
    const speak = () => publish(hub, channel, price('X', Math.random()))
    await page.getByText('No channel has gone quiet').waitFor()
    const end = Date.now() + 2_500
    await steadily(speak, () => Date.now() > end, 'its rhythm')
    await page.getByText('1 channel has gone quiet').waitFor()
    const [state, silent, usually] = await quiet.locator('td').allTextContents()
    assert.match(state, /^(delayed|stale)$/)
    assert.match(silent, /^[\d.]+ s$/)
    assert.match(usually, /^0\.\d s$/)
    await until(async () => await quiet.locator('td').first().textContent() === 'stale', 'the next state')
    assert.equal(await page.locator('img').count(), 0)
    await snap(page, 'quiet')
    await steadily(speak, () => page.getByText('No channel has gone quiet').isVisible(), 'fresh again')
    assert.equal(await quiet.count(), 0)
  },

  async 'what a chosen rate conflates is told apart by its cause'(page, open, start, t) {
    const hub = await open()
    const chart = await RawClient.connect(t, hub, 'chart')
    chart.send({ action: 'subscribe', channel: 'market_data:X', max_rate: 1 })
    await until(async () => (await text(page, 'connections')) === '2', 'two connections')
    await steadily(() => publish(hub, 'market_data:X', price('X', Math.random())), async () =>
      /^max_rate [1-9]\d*$/.test(await text(page, 'conflated-by')), 'the cause')
    assert.match(await text(page, 'conflated'), /^[1-9]\d*$/)
    assert.equal(await text(page, 'dropped'), '0')
    assert.equal(await text(page, 'dropped-by'), '')
  },
}

if (process.env.SCREENSHOTS) {
  tests['EUR/USD of the demo stops every minute'] = async (page, open) => {
    await open({ flags: ['--demo'] })
    await page.locator('#prices tr.stale').waitFor({ timeout: 60_000 })
    await row(page, 'EUR/USD').getByRole('button').click()
    await pause(3_000)
    await snap(page, 'stale')
    await page.emulateMedia({ colorScheme: 'dark' })
    await snap(page, 'stale-dark')
    await page.setViewportSize({ width: 390, height: 800 })
    await snap(page, 'stale-narrow')
  }
}

const profile = mkdtempSync(join(tmpdir(), 'tapeline-page-'))
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: flags, headless: true,
  viewport: { width: 1100, height: 640 }, colorScheme: 'light',
})
let failed = 0

async function judge(name, test) {
  const began = Date.now()
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  const endings = [], errors = []
  const t = { after: ending => endings.unshift(ending) }
  page.on('pageerror', error => errors.push(error))
  const start = options => Hub.start(t, options)
  const open = async options => {
    const hub = await start(options)
    await page.goto(`http://${hub.address}/`)
    await state(page, 'connected')
    return hub
  }
  try {
    await test(page, open, start, t)
    assert.deepEqual(errors, [])
    console.log(`ok      ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`)
  } catch (error) {
    failed += 1
    console.log(`failed  ${name}\n${error.stack}\n${errors.join('\n')}`)
  }
  await page.close()
  for (const ending of endings) await ending()
}

// Most of a test is waiting: several at a time, each with a hub and a page of its own.
const left = Object.entries(tests)
await Promise.all(Array.from({ length: AT_ONCE }, async () => { while (left.length > 0) await judge(...left.shift()) }))
await context.close()
rmSync(profile, { recursive: true, force: true })
console.log(`${Object.keys(tests).length - failed} passed, ${failed} failed`)
process.exitCode = failed ? 1 : 0
