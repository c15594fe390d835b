// Pictures that stand still: one frame, as it comes with the page. Streamlit calls mount at every rerun.
// Where the frame holds paths of so many `steps`, a player shows them step by step.

import { Frames, fromBase64 } from './frames.js'
import { Keys } from './lecture.js'
import { lookOf, plotly, styled, themeOf } from './page.js'
import { Picture } from './picture.js'
import { Replay, at } from './replay.js'
import { Scene } from './scene.js'

class Still {
  look = {}
  pictures = new Map()

  constructor(root, library) {
    Object.assign(this, { root, library })
    this.watch = setInterval(() => { if (!root.isConnected) this.close() }, 500)
    this.size = new ResizeObserver(() => this.#measure())
  }

  /** Show a frame; the same one again changes nothing but the theme. */
  show({ frame, ids, words, theme, steps, keys }, ask) {
    this.keys ??= new Keys(this.root, keys)
    const here = themeOf(this.root)
    this.root.classList.toggle('dark', here === 'dark')
    if (here !== theme) ask(here) // the server cannot know the theme before the page has said it
    if (frame === this.frame) return
    this.frame = frame
    this.figures = this.#read(frame).figures
    if (String(ids) !== String([...this.pictures.keys()])) this.#build(ids, words)
    this.replay?.pause()
    this.replay = steps ? (this.replay ?? new Replay(words, (step) => this.#step(step))) : null
    if (steps && this.replay.root.parentElement !== this.root) this.root.prepend(this.replay.root)
    for (const [id, picture] of this.pictures) if (!steps || !this.figures[id].layout.meta.replay) picture.show(this.figures[id], true)
    this.replay?.over(steps)
  }

  close() {
    clearInterval(this.watch)
    this.replay?.pause()
    this.size.disconnect()
    this.keys.close()
    for (const picture of this.pictures.values()) picture.close()
    stills.delete(this.root)
  }

  /** The pictures with a path, at one of its steps. */
  #step(step) {
    for (const [id, picture] of this.pictures) if (this.figures[id].layout.meta.replay) picture.show(at(this.figures[id], step), true)
  }

  #read(frame) {
    const frames = new Frames()
    frames.apply(fromBase64(frame))
    return frames
  }

  #build(ids, words) {
    for (const picture of this.pictures.values()) picture.close()
    const drawn = ids.map((id) => {
      const figure = Object.assign(document.createElement('figure'), { id: 'still-' + id })
      figure.innerHTML = '<h2></h2><p></p><button type="button" class="whole" hidden></button><div class="plot"><div class="graph" role="img"></div><div class="words"></div></div>'
      figure.querySelector('.whole').textContent = words.whole
      return figure
    })
    this.root.replaceChildren(...drawn)
    this.size.observe(this.root)
    Object.assign(this.look, lookOf(this.root.querySelector('p')))
    this.pictures = new Map(ids.map((id, i) => [id, new (this.figures[id].layout.scene ? Scene : Picture)(drawn[i], this.library, words, this.look)]))
  }

  #measure() {
    const { fs } = this.look
    Object.assign(this.look, lookOf(this.root.querySelector('p')))
    if (fs !== this.look.fs) for (const picture of this.pictures.values()) picture.draw()
  }
}

const stills = new Map() // root -> Still

export default async function mount({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector('.still')
  const [library] = await Promise.all([plotly(), styled(), styled('lecture.css')])
  if (!stills.has(root)) stills.set(root, new Still(root, library))
  stills.get(root).show(data, (theme) => setTriggerValue('theme', theme))
}
