// A player for pictures that hold a whole path: it shows them as they were at step k, with no word to the server.

import { fill } from './text.js'

const PACE = { whole: 7000, least: 40, most: 320 } // ms: of a whole replay, and of one of its steps
const ICONS = { play: 'M3 2l11 6-11 6z', pause: 'M3 2h4v12H3zM9 2h4v12H9z', back: 'M13 3l-7 5 7 5zM3 3h2v10H3z', forward: 'M3 3l7 5-7 5zM11 3h2v10h-2z' }
const svg = (name) => `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`

/**
 * A figure at step k. layout.meta.replay says which traces grow: {trace, per, chunk, head}: the first k·per + 1 points of
 * each `chunk` of points (all of them, where it says nothing), or of these the last one alone.
 */
export function at(figure, k) {
  const data = [...figure.data]
  for (const { trace, per = 1, chunk, head } of figure.layout.meta.replay ?? []) {
    const whole = data[trace], own = (data[trace] = { ...whole })
    for (const name of ['x', 'y', 'z']) {
      if (!whole[name]) continue
      const from = whole[name], to = from.slice(), long = chunk ?? from.length
      for (let start = 0; start < from.length; start += long) {
        const last = Math.min(k * per, long - 1)
        if (head) to.fill(NaN, start, start + last)
        to.fill(NaN, start + last + 1, start + long)
      }
      own[name] = to
    }
  }
  return { ...figure, data }
}

export class Replay {
  step = 0
  steps = 0
  #timer = null

  /** `draw(step)`: show that step. */
  constructor(words, draw, pace = PACE) {
    Object.assign(this, { words, draw, pace })
    this.root = Object.assign(document.createElement('div'), { className: 'replay' })
    this.root.setAttribute('role', 'group')
    this.root.setAttribute('aria-label', words.player)
    this.root.innerHTML = `<button type="button" class="play"></button><button type="button" data-by="-1">${svg('back')}</button><button type="button" data-by="1">${svg('forward')}</button><input type="range" min="0" step="1"><output></output>`
    this.play = this.root.querySelector('.play')
    this.scrub = this.root.querySelector('input')
    this.output = this.root.querySelector('output')
    this.scrub.setAttribute('aria-label', words.replay_scrubber)
    this.play.onclick = () => (this.#timer ? this.pause() : this.start())
    for (const button of this.root.querySelectorAll('[data-by]')) {
      const word = button.dataset.by < 0 ? words.step_back : words.step
      button.title = word
      button.setAttribute('aria-label', word)
      button.onclick = () => this.go(this.step + +button.dataset.by)
    }
    this.scrub.oninput = () => this.go(+this.scrub.value)
    this.#dress()
  }

  get playing() { return this.#timer !== null }

  /** Hold at a step. */
  go(step) {
    this.pause()
    this.#show(step)
  }

  /** Other paths, of so many steps: shown whole, or as far as they are being played or held, or up to `held`. */
  over(steps, held = this.step < this.steps ? this.step : steps) {
    this.steps = steps
    this.scrub.max = steps
    this.#show(held)
  }

  start() {
    if (this.step >= this.steps) this.#show(0)
    const { whole, least, most } = this.pace, pace = Math.min(most, Math.max(least, whole / this.steps))
    let next = performance.now() + pace
    const tick = () => {
      const now = performance.now()
      if (now >= next) {
        this.#show(this.step + 1)
        next = Math.max(next + pace, performance.now()) // a slow machine goes slower: it leaves no step out
        if (this.step >= this.steps) return this.pause()
      }
      this.#timer = requestAnimationFrame(tick)
    }
    this.#timer = requestAnimationFrame(tick)
    this.#dress()
  }

  pause() {
    cancelAnimationFrame(this.#timer)
    this.#timer = null
    this.#dress()
  }

  #show(step) {
    this.step = Math.min(Math.max(step, 0), this.steps)
    this.scrub.value = this.step
    this.output.textContent = fill(this.words.of_steps, { n: this.step, steps: this.steps })
    this.scrub.setAttribute('aria-valuetext', this.output.textContent)
    this.draw(this.step)
  }

  #dress() {
    const word = this.#timer ? this.words.pause : this.words.play
    this.play.innerHTML = `${svg(this.#timer ? 'pause' : 'play')}<span></span>`
    this.play.querySelector('span').textContent = word
    this.play.setAttribute('aria-label', word)
  }
}
