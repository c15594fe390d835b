// The stage: verdict, player and pictures of one run, fed by its socket. Streamlit calls mount at every rerun.

import { Frames, fromBase64 } from './frames.js'
import { Keys } from './lecture.js'
import { Live } from './live.js'
import { lookOf, plotly, styled, themeOf } from './page.js'
import { Picture } from './picture.js'
import { Player } from './player.js'
import { tabulate } from './table.js'
import { fill, html, spoken } from './text.js'

const PROFILE = { // the profile along the sequence, so that the badge's colour is never alone
  vanishing: 'M2 14C13 14 19 11 22 2', exploding: 'M2 2C5 11 11 14 22 14', healthy: 'M2 9C8 6 16 10 22 7', none: 'M2 14H22',
  diverged: 'M5 2L19 14M19 2L5 14', thrown: 'M2 14C8 14 11 10 13 3M8.5 6L13.3 2.5L16 8M19 14H22', waiting: 'M4 8h.1M12 8h.1M20 8h.1',
}
const SOON = 150 // ms in which a control that was touched gets its picture: one of before it would only be in the way
const SPOKEN = 5000, TURN = 1000 // ms between two announcements of the verdict: of its numbers, and of another one
const TOUCHES = ['input', 'keydown', 'pointerdown']
const framework = (ids, readonly) => `
  <section class="verdict">
    <span class="badge" tabindex="0" aria-describedby="stage-rule"><svg viewBox="0 0 24 16" aria-hidden="true"><path/></svg><b></b><span class="rule" id="stage-rule" role="tooltip"></span></span>
    <div><p class="what"></p><p class="why"></p><p class="radii" role="list"></p><i class="progress" hidden></i></div><span class="on"></span><button type="button" class="help">?</button><p class="spoken" role="status" aria-live="polite"></p>
  </section>
  <section class="player"${readonly ? ' hidden' : ''}>
    <button type="button" class="play" data-do="play"></button><button type="button" data-do="step"></button>
    <button type="button" data-do="reset"></button><button type="button" data-do="seed"></button>
    <label class="speed"><span></span><select><option value="4"></option><option value="20" selected></option><option value="0"></option></select></label>
  </section>
  <section class="scrub${readonly ? ' readonly' : ''}"><output></output><span class="cost"></span><input type="range" min="0" max="200" step="1" value="0"></section>
  ${ids.map((id, i) => `<figure id="${id}"><h2></h2>${i === 0 && !readonly ? '<div class="layers" role="group" hidden></div>' : ''}<p></p><button type="button" class="whole" hidden></button>
    <div class="plot"><div class="graph" role="img"></div><div class="words"></div></div></figure>`).join('')}`

class Stage {
  head = null
  frames = new Frames()
  pictures = null
  look = {}
  painted = { frames: 0, painted: null, step: null, draws: [], status: 'connecting' }
  #spoken = 0
  #later = 0
  #touched = -Infinity // when a control was touched last
  #put = 0 // the timer of a picture that was put off
  #news = {} // figures that came and are not drawn yet: {id: did arrays change}

  /** `hooks`: what a page around the stage wants: told(text), asks() → more of the socket's query, drawn(), changed(state). */
  constructor(root, data, change, hooks) {
    Object.assign(this, { root, data, words: data.words, hooks })
    root.stage = this // for what points into its pictures
    window.__stage = this.painted
    this.ids = data.pictures
    root.innerHTML = framework(this.ids, data.readonly)
    root.classList.add('empty')
    root.dataset.mode = data.mode
    this.change = change
    this.player = new Player(root, this.words, { send: (m) => this.live?.send(m), change: (c) => this.change(c), readonly: data.readonly })
    this.keys = new Keys(root, data.keys, data.readonly ? null : (c) => this.change(c))
    const help = root.querySelector('.help')
    help.title = data.keys.title
    help.setAttribute('aria-label', data.keys.title)
    for (const button of root.querySelectorAll('.whole')) button.textContent = this.words.whole
    for (const graph of root.querySelectorAll('.graph')) graph.ariaLabel = this.words.connecting_what
    this.gone = new AbortController() // another stage may take this one's place
    root.addEventListener('click', (e) => {
      if (e.target.closest('.help')) this.keys.help()
      const what = e.target.closest('[data-way]')?.dataset.way
      if (what === 'now') this.live.now()
      if (what === 'reload') location.reload()
    }, { signal: this.gone.signal })
    this.seen = () => { if (!document.hidden) this.#draw() }
    document.addEventListener('visibilitychange', this.seen)
    this.touch = (e) => { if (e.target.closest?.('.st-key-controls')) this.#touched = performance.now() }
    for (const type of TOUCHES) document.addEventListener(type, this.touch, true)
    this.size = new ResizeObserver(() => this.#resize())
    this.watch = setInterval(() => { if (!root.isConnected) this.close() }, 500)
    this.player.idle(false)
    this.say()
    this.ready = this.#begin()
  }

  async #begin() {
    try {
      const [library] = await Promise.all([plotly(), styled()])
      if (this.closed) return
      this.pictures = Object.fromEntries(this.ids.map((id) => [id, new Picture(this.root.querySelector('#' + id), library, this.words, this.look)]))
    } catch {
      this.broken = true
      return this.say()
    }
    this.#measure()
    this.size.observe(this.root)
    this.#theme()
    this.live = new Live(this.data, { onFrame: (bytes) => this.#frame(bytes), onState: () => this.#socket(), onText: (text) => this.hooks.told?.(text), asks: this.hooks.asks })
  }

  /** Called at every rerun of the page. */
  update(data, change) {
    Object.assign(this, { data, change })
    if (this.pictures) { this.#theme(); if (this.live?.state === 'impossible') this.#fallback() }
  }

  close() {
    if (this.closed) return
    this.closed = true
    this.live?.close()
    this.player.close()
    this.keys.close()
    this.gone.abort()
    this.size.disconnect()
    clearInterval(this.watch)
    clearTimeout(this.#later)
    clearTimeout(this.#put)
    document.removeEventListener('visibilitychange', this.seen)
    for (const type of TOUCHES) document.removeEventListener(type, this.touch, true)
    for (const picture of Object.values(this.pictures ?? {})) picture.close()
  }

  // --- frames

  #frame(bytes) {
    const { head, changed } = this.frames.apply(bytes)
    this.head = head
    for (const [id, arrays] of Object.entries(changed)) this.#news[id] ||= arrays
    clearTimeout(this.#put)
    const left = this.#touched + SOON - performance.now(), before = head.run?.playing && head.run.setting === this.painted.painted
    if (before && left > 0) this.#put = setTimeout(this.seen, left)
    else this.seen()
  }

  #draw() {
    const { head } = this
    if (!head || head.done || !this.pictures) return
    head.done = true
    const start = performance.now()
    this.say()
    const open = this.live?.state === 'open'
    if (head.run) this.player.show(head.run, open && head.status === 'ready')
    if (open && head.status === 'error') this.root.querySelector('[data-do=reset]').disabled = false // the way on
    if (!open) this.player.idle(this.live?.state === 'offline')
    if (this.ids.some((id) => id in this.frames.figures)) this.root.classList.remove('empty')
    for (const id of this.ids) if (id in this.#news) this.pictures[id].show(this.frames.figures[id], this.#news[id])
    this.#news = {}
    this.hooks.drawn?.()
    const { draws } = this.painted
    draws.push(performance.now() - start)
    if (draws.length > 500) draws.splice(0, 250)
    requestAnimationFrame(() => { // a hidden page has no animation frames: it sends no word, and the server sends no frame
      Object.assign(this.painted, { frames: this.painted.frames + 1, painted: head.run?.setting ?? null, step: head.run?.step ?? null, status: head.status })
      this.live?.send({ do: 'drawn', frame: head.frame })
    })
  }

  #fallback() {
    if (!this.data.fallback) return
    this.frames = new Frames()
    this.#frame(fromBase64(this.data.fallback))
  }

  // --- states

  #socket() {
    const { state } = this.live
    this.hooks.changed?.(state)
    if ((state === 'impossible') !== Boolean(this.still)) this.change({ fallback: (this.still = state === 'impossible') })
    if (state === 'open') { // a new connection begins with full figures
      this.frames = new Frames()
      this.themed = null
      this.#theme()
    } else {
      this.player.idle(state === 'offline' || state === 'ended')
      if (state === 'impossible') this.#fallback()
    }
    this.say()
  }

  #theme() {
    const theme = themeOf(this.root)
    this.root.classList.toggle('dark', theme === 'dark')
    if (theme !== this.themed && this.live?.send({ do: 'theme', value: theme })) this.themed = theme
  }

  /** Which sentence stands over the pictures: the verdict, or what keeps it from being true. */
  say() {
    const { words, head } = this, state = this.live?.state ?? 'connecting', step = head?.run?.step ?? 0
    const tell = (key, why, ways = []) => ({ kind: 'waiting', badge: words[key], what: words[key + '_what'], why: why ?? fill(words[key + '_why'], { n: step }), ways, key })
    const way = (data, word) => ({ data, word })
    let now
    if (this.broken) now = tell('broken', null, [way({ way: 'reload' }, words.reload)])
    else if (state === 'ended') now = tell('ended', null, [way({ way: 'reload' }, words.reload)])
    else if (state === 'offline') now = tell('offline', head ? null : '', [way({ way: 'now' }, words.try_now)])
    else if (!head) now = tell(state === 'impossible' ? 'still' : 'connecting')
    else if (head.status === 'compiling') now = tell('compiling', head.message)
    else if (head.status === 'error') now = tell('error', head.message)
    else {
      const lost = head.run?.diverged && !this.data.readonly, note = state === 'impossible' ? `${words.still_what} ${words.still_why}` : head.message
      now = { ...head.verdict, ...(note && { why: note }), key: state === 'impossible' ? 'still' : 'ready', ways: lost ? [way({ do: 'last' }, fill(words.back_to, { n: head.run.last_finite })), way({ do: 'clip' }, words.clip)] : this.data.readonly ? [] : (head.verdict?.ways ?? []).map((name) => way({ do: name }, words[name])) }
    }
    const { root } = this, find = (s) => root.querySelector(s)
    root.dataset.kind = now.kind ?? 'waiting'
    root.dataset.state = now.key
    find('.badge b').textContent = now.badge ?? ''
    find('.badge path').setAttribute('d', PROFILE[now.kind] ?? PROFILE.waiting)
    for (const part of ['what', 'why']) { // where a narrow page cuts it, it can still be read
      html(find('.' + part), now[part])
      const whole = spoken(now[part] ?? '')
      if (find('.' + part).title !== whole) find('.' + part).title = whole
    }
    html(find('.rule'), now.rule ?? '')
    find('.cost').textContent = head?.cost ?? ''
    this.#radii(head?.radii)
    if (head?.table) tabulate(root, head.table, PROFILE)
    const bar = find('.progress'), part = head?.progress
    bar.hidden = !['compiling', 'connecting'].includes(now.key)
    bar.classList.toggle('known', Number.isFinite(part))
    if (Number.isFinite(part)) bar.style.setProperty('--part', `${100 * part}%`)
    const on = find('.on'), said = JSON.stringify(now.ways)
    if (on.said !== said) {
      on.said = said
      on.replaceChildren(...now.ways.map(({ data, word }) => {
        const button = Object.assign(document.createElement('button'), { type: 'button', textContent: word })
        Object.assign(button.dataset, data)
        return button
      }))
    }
    this.#speak(spoken(`${now.badge}. ${now.what ?? ''}`), now.badge)
  }

  /** The sizes of the recurrent weights: a chip for each gate, with a bar whose tick is 1. */
  #radii(radii) {
    const list = this.root.querySelector('.radii'), chips = radii?.chips ?? [], rule = spoken(radii?.rule ?? '')
    const gates = JSON.stringify(chips.map((chip) => chip.gate))
    if (list.gates !== gates) {
      list.gates = gates
      list.setAttribute('aria-label', this.words.radii)
      list.innerHTML = chips.length ? '<span class="of"></span>' + '<span class="chip" role="listitem"><b></b><i class="gauge"></i><span></span></span>'.repeat(chips.length) : ''
      if (chips.length) html(list.firstChild, radii.label)
    }
    for (const [i, chip] of chips.entries()) {
      const node = list.children[i + 1], [gate, gauge, text] = node.children, said = JSON.stringify(chip)
      if (node.said === said) continue
      node.said = said
      gate.textContent = chip.gate
      node.title = `${spoken(chip.title)}. ${rule}`
      gauge.style.setProperty('--rho', `${100 * (chip.rho ?? 0)}%`)
      gauge.style.setProperty('--sigma', `${100 * (chip.sigma ?? 0)}%`)
      gauge.classList.toggle('none', chip.sigma === null)
      html(text, chip.text)
    }
  }

  /** At once where the verdict is another one, or nothing moves; of numbers that run, now and then. */
  #speak(text, badge) {
    clearTimeout(this.#later)
    const element = this.root.querySelector('.spoken')
    if (element.textContent === text) return
    const pause = badge !== this.badge ? TURN : this.head?.run?.playing ? SPOKEN : 0, due = this.#spoken + pause - performance.now()
    if (due > 0) { this.#later = setTimeout(() => this.#speak(text, badge), due); return }
    this.#spoken = performance.now()
    this.badge = badge
    element.textContent = text
  }

  // --- size

  #resize() {
    const { fs } = this.look
    this.#measure()
    if (fs !== this.look.fs) for (const picture of Object.values(this.pictures)) picture.draw()
  }

  #measure() {
    Object.assign(this.look, lookOf(this.root.querySelector('figure p')))
    const { margin } = this.look
    this.root.style.setProperty('--ml', margin.l + 'px')
    this.root.style.setProperty('--mr', margin.r + 'px')
  }
}

const stages = new Set()

const same = (a, b) => ['token', 'pictures', 'mode', 'readonly', 'language'].every((key) => String(a[key]) === String(b[key]))

/** Streamlit's entry: once for every rerun of the page. The same run and pictures keep everything; others start anew. */
export default async function mount({ data, parentElement, setTriggerValue, hooks = {} }) {
  const root = parentElement.querySelector('#stage') ?? parentElement.appendChild(Object.assign(document.createElement('div'), { id: 'stage' }))
  const change = (changes) => setTriggerValue('change', changes)
  for (const stage of stages) if (!stage.root.isConnected || (stage.root === root && !same(stage.data, data))) { stage.close(); stages.delete(stage) }
  const here = [...stages].find((stage) => stage.root === root)
  if (here) here.update(data, change)
  else {
    await Promise.all([styled(), styled('lecture.css')])
    stages.add(new Stage(root, data, change, hooks))
  }
}
