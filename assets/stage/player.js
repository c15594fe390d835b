// Buttons, scrubber and keys. Each press says what it wants as a target ("to step 41"), so that doubled ones do no harm.

import { fill } from './text.js'

const ICONS = {
  play: 'M3 2l11 6-11 6z', pause: 'M3 2h4v12H3zM9 2h4v12H9z', step: 'M3 3l7 5-7 5zM11 3h2v10h-2z', reset: 'M13 3L6 8l7 5zM3 3h2v10H3z',
  seed: 'M3 2h10a1 1 0 011 1v10a1 1 0 01-1 1H3a1 1 0 01-1-1V3a1 1 0 011-1zm2 4a1.3 1.3 0 100-2.6A1.3 1.3 0 005 6zm3 3.3a1.3 1.3 0 100-2.6 1.3 1.3 0 000 2.6zm3 3.3a1.3 1.3 0 100-2.6 1.3 1.3 0 000 2.6z',
}
const svg = (name) => `<svg viewBox="0 0 16 16" aria-hidden="true"><path fill-rule="evenodd" d="${ICONS[name]}"/></svg>`
const KEYS = { ' ': 'play', ArrowRight: 'forward', ArrowLeft: 'back', r: 'reset', R: 'reset', n: 'seed', N: 'seed', End: 'follow' }

export class Player {
  run = null
  #dragged = false
  #asked = null // what is on its way to the server: {step, by}: a step back or forward that has not shown yet
  #goal = null // {to, setting}: the step that presses of Step have asked for, as long as it has not been reached

  /** `readonly`: it shows the state of the run, and commands nothing. */
  constructor(root, words, { send, change, readonly = false }) {
    Object.assign(this, { root, words, send, change, readonly })
    const find = (selector) => root.querySelector(selector)
    this.play = find('.play'); this.scrub = find('.scrub input'); this.output = find('.scrub output'); this.speed = find('.speed select'); this.layers = find('.layers')
    for (const name of ['step', 'reset', 'seed']) {
      const button = find(`[data-do=${name}]`), word = name === 'seed' ? 'new_seed' : name
      button.innerHTML = svg(name) + '<span></span>'
      button.querySelector('span').textContent = words[word]
      button.title = words[word + '_long']
      button.setAttribute('aria-label', words[word])
    }
    this.play.innerHTML = svg('play') + '<span></span>'
    this.play.querySelector('span').textContent = words.play
    this.play.title = words.play_long
    find('.player').setAttribute('aria-label', words.player)
    find('.speed span').textContent = words.speed
    for (const option of this.speed.options) option.textContent = words['speed_' + (option.value === '0' ? 'max' : option.value)]
    this.scrub.setAttribute('aria-label', words.scrubber)
    this.layers?.setAttribute('aria-label', words.layer)
    this.play.closest('section').inert = readonly
    this.scrub.disabled = readonly
    if (readonly) return
    this.gone = new AbortController() // another stage may take this one's place
    root.addEventListener('click', (e) => { const b = e.target.closest('[data-do]'); if (b && !b.disabled) this.act(b.dataset.do, b) }, { signal: this.gone.signal })
    this.speed.onchange = () => this.send({ do: 'speed', value: +this.speed.value })
    this.scrub.oninput = () => this.#drag()
    this.scrub.onchange = () => { this.#dragged = false }
    this.keys = (e) => this.#key(e)
    document.addEventListener('keydown', this.keys, true) // before a widget that the pointer has just left takes the key
    this.touched = () => { this.byPointer = true }
    document.addEventListener('pointerdown', this.touched, true)
    this.chosen = (e) => { if (e.target.closest?.('[role=option]')) setTimeout(() => document.activeElement?.blur(), 200) }
    document.addEventListener('click', this.chosen, true) // a menu keeps the focus in its text field otherwise
  }

  close() {
    if (this.readonly) return
    this.gone.abort()
    document.removeEventListener('keydown', this.keys, true)
    document.removeEventListener('pointerdown', this.touched, true)
    document.removeEventListener('click', this.chosen, true)
  }

  /** `held`: a key is held down: its repetitions ask for no more than one step at a time. */
  act(what, button, held = false) {
    const { run } = this
    if (!run && what !== 'seed' || this.root.querySelector(`[data-do=${what}]`)?.disabled) return
    if (!['step', 'forward', 'layer'].includes(what)) this.#goal = null
    if (what === 'play' && !this.play.disabled) this.send({ do: run.playing ? 'pause' : 'play' })
    if (what === 'step') this.#train(held)
    if (what === 'forward') run.following || run.step >= run.reached ? this.#train(held) : this.#show(run.step, 1)
    if (what === 'back') this.#show(run.step, -1)
    if (what === 'follow') this.send({ do: 'show', step: null })
    if (what === 'reset') this.send({ do: 'reset' })
    if (what === 'layer') this.send({ do: 'view', layer: +button.value })
    if (what === 'last') this.send({ do: 'show', step: run.last_finite })
    if (what === 'seed') this.change({ seed: Math.floor(Math.random() * 10000) })
    if (what.startsWith('begin')) this.send({ do: 'reset' })
    if (what === 'clip' || what === 'begin_clipped') this.change({ clip: 'norm', clip_threshold: 1.0 })
  }

  /** Show the state of the run. */
  show(run, ready) {
    const lost = Boolean(run.diverged), { words } = this
    this.run = run
    if (this.#goal && (run.reached >= this.#goal.to || run.setting !== this.#goal.setting || lost || run.stopped)) this.#goal = null
    const still = this.#asked
    if (still && run.step === still.step && still.by && Math.abs(still.by) < run.reached) this.#show(still.step, 2 * still.by) // between kept steps
    else this.#asked = null
    const word = run.playing ? words.pause : words.play
    if (this.play.dataset.word !== word) {
      this.play.dataset.word = word
      this.play.querySelector('path').setAttribute('d', run.playing ? ICONS.pause : ICONS.play)
      this.play.querySelector('span').textContent = word
      this.play.setAttribute('aria-label', word)
    }
    const over = lost || Boolean(run.stopped)
    this.play.disabled = over || !ready
    this.play.title = run.stopped ? words.play_over : words.play_long
    this.root.querySelector('[data-do=seed]').disabled = false
    this.root.querySelector('[data-do=step]').disabled = over || !ready
    this.root.querySelector('[data-do=reset]').disabled = !ready
    if (document.activeElement !== this.speed) this.speed.value = String(run.speed)
    this.scrub.disabled = this.readonly || !ready || run.reached === 0
    this.scrub.max = run.end
    this.scrub.style.setProperty('--seen', `${(100 * run.reached) / run.end}%`)
    if (!this.#dragged) this.#thumb(run.step)
    this.#layers(run)
  }

  /** Nothing can be played; `alone`: nor can anything be asked of the page. */
  idle(alone) {
    this.#goal = null
    for (const button of this.root.querySelectorAll('.player button, .scrub input')) button.disabled = true
    this.root.querySelector('[data-do=seed]').disabled = alone
  }

  /** One more step than has been asked for: presses while one is under way count, too. */
  #train(held) {
    const { run } = this
    if (run.diverged || this.play.disabled || held && this.#goal) return
    if (run.playing && !this.#goal) this.send({ do: 'pause' })
    this.#goal = { to: Math.max(run.reached, this.#goal?.to ?? 0) + 1, setting: run.setting }
    this.send({ do: 'step', to: this.#goal.to })
  }

  #show(from, by) {
    const to = Math.min(Math.max(from + by, 0), this.run.reached)
    this.#asked = to === from ? null : { step: from, by }
    this.send({ do: 'show', step: to >= this.run.reached ? null : to })
  }

  #drag() {
    const { run } = this
    if (!run) return
    this.#dragged = true
    this.#asked = this.#goal = null
    const to = Math.min(+this.scrub.value, run.reached)
    this.#thumb(to)
    cancelAnimationFrame(this.frame)
    this.frame = requestAnimationFrame(() => this.send({ do: 'show', step: to >= run.reached ? null : to }))
  }

  #thumb(step) {
    this.scrub.value = step
    this.output.textContent = fill(this.words.at_step, { n: step })
    this.output.classList.toggle('long', step > 9999)
    this.scrub.setAttribute('aria-valuetext', fill(this.words.of_reached, { n: step, reached: this.run.reached }))
  }

  #layers({ layers, layer }) {
    if (!this.layers) return
    this.layers.hidden = layers < 2
    if (layers < 2) return
    if (this.layers.childElementCount !== layers) {
      this.layers.replaceChildren(...Array.from({ length: layers }, (_, i) => {
        const button = Object.assign(document.createElement('button'), { type: 'button', value: i, textContent: i + 1 })
        button.dataset.do = 'layer'
        button.setAttribute('aria-label', fill(this.words.layer_n, { n: i + 1 }))
        button.title = fill(this.words.layer_n, { n: i + 1 })
        return button
      }))
    }
    ;[...this.layers.children].forEach((button, i) => button.setAttribute('aria-pressed', String(i === layer)))
  }

  #key(e) {
    const what = KEYS[e.key], from = e.target, slider = from.matches('input[type=range]')
    if (e.key === 'Tab') this.byPointer = false
    if (!what || e.ctrlKey || e.metaKey || e.altKey || !this.root.isConnected) return
    if (from.matches('input:not([type=range], [type=radio], [type=checkbox]), select, textarea, [contenteditable], [role=menu] *')) return
    if (slider && (e.key.startsWith('Arrow') || e.key === 'End')) return
    if (!this.byPointer && from.matches('.graph') && e.key.startsWith('Arrow')) return // they move the mark in it: see crosshair.js
    // What the pointer has just touched gives the keys back to the player; what Tab has reached keeps its own.
    if (!this.byPointer && (e.key === ' ' ? from.matches('button, input') : !this.root.contains(from) && !from.contains(this.root))) return
    if (from !== document.body && !slider) from.blur()
    e.stopPropagation()
    e.preventDefault()
    if (!e.repeat || what === 'forward' || what === 'back') this.act(what, null, e.repeat)
  }
}
