// A student's screen in a room: the lecturer's run, read-only, what the lecturer points at, and the question that is put.
// Streamlit calls mount at every rerun.

import stage from './stage.js'
import { card } from './room_card.js'
import { themeOf } from './page.js'
import { bare, fill, html } from './text.js'

const NAME = 'explorer-room-' // + code: who this browser is in that room, so that a reload does not vote twice

/** The style sheet of rooms, loaded once. */
export const styled = () => new Promise((ok) => {
  const href = new URL('room.css', import.meta.url).href
  if ([...document.styleSheets].some((s) => s.href === href)) return ok()
  document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href, onload: ok, onerror: ok }))
})

class Student {
  room = null
  you = null
  over = ''

  constructor(root, data, trigger) {
    Object.assign(this, { root, data, trigger, words: data.words })
    root.innerHTML = `<header><b class="code"></b><span class="settings"></span><button type="button" class="look" hidden></button>
      <button type="button" class="from_here"></button></header>
      <p class="notice" role="status"></p><section class="card" hidden></section><div class="holder"></div>`
    const find = (selector) => root.querySelector(selector)
    find('.code').textContent = fill(this.words.room, { code: data.code })
    find('.from_here').textContent = this.words.from_here
    find('.from_here').title = this.words.from_here_long
    find('.from_here').onclick = () => this.trigger('take', { step: this.stage?.head?.run?.step ?? null })
    find('.look').onclick = () => root.querySelector(`#${this.room?.point?.picture}`)?.scrollIntoView({ block: 'center' })
    this.#show()
  }

  /** At every rerun: the stage keeps what it has. */
  async update(data, trigger) {
    Object.assign(this, { data, trigger })
    const hooks = {
      told: (text) => this.#told(JSON.parse(text)), asks: () => ({ theme: themeOf(this.root), you: this.#name() }),
      drawn: () => this.#point(), changed: (state) => { this.state = state; this.#show() },
    }
    await stage({ data: { ...data.stage, words: data.words }, parentElement: this.root.querySelector('.holder'), setTriggerValue() {}, hooks })
    this.stage = this.root.querySelector('#stage').stage
  }

  #told({ room, you, over }) {
    if (room) this.room = room
    if (you) {
      this.you = you
      try { localStorage.setItem(NAME + this.data.code, you.id) } catch { /* a browser that keeps nothing: a reload is somebody else */ }
    }
    if (over) {
      this.over = over
      for (const part of ['', '_what', '_why']) this.stage.words['ended' + part] = this.words[over + part]
      if (over === 'full') this.stage.words.reload = this.words.try_now
    }
    this.#show()
  }

  #name() {
    try { return localStorage.getItem(NAME + this.data.code) ?? '' } catch { return '' }
  }

  #show() {
    const { root, room, words } = this, find = (selector) => root.querySelector(selector), q = room?.question
    root.classList.toggle('dark', themeOf(root) === 'dark')
    root.classList.toggle('covered', Boolean(room?.hidden))
    root.classList.toggle('asks', Boolean(q))
    html(find('.settings'), room?.settings ?? '')
    find('.settings').title = room?.settings ?? ''
    find('.from_here').disabled = !room?.settings || room.hidden || Boolean(this.over)
    const away = room && !room.host && !this.over
    find('.notice').textContent = this.state === 'impossible' ? words.no_socket : away ? words.away : room?.hidden && !q ? words.covered : ''
    find('.notice').hidden = !find('.notice').textContent
    find('.card').hidden = !q || Boolean(this.over)
    if (q) this.#ask(q)
    this.#point()
  }

  #ask(q) {
    const { words, room, you } = this, mine = you?.number === q.number ? you.choice : null, open = q.phase === 'open' && this.state === 'open'
    const counts = { n: q.voted, all: room.watching, goal: q.goal }
    let foot = fill(mine === null ? words.choose : words.voted, counts)
    if (q.phase === 'running') foot = fill(words.running, counts)
    if (q.phase === 'answered') {
      const guess = q.right === null || mine === null ? '' : mine === q.right ? words.was_right : words.was_wrong
      foot = [guess, q.said || (q.right === null ? words.vote_over : '')].filter(Boolean).join(' ')
    }
    const press = open ? (i) => this.stage.live.send({ do: 'vote', number: q.number, choice: i }) : null
    card(this.root.querySelector('.card'), { question: q, mine, words, foot, press })
  }

  /** A line in every picture that has the axis which the lecturer points at, and a frame around the one pointed at. */
  #point() {
    const { room, stage, root } = this, point = this.over ? null : room?.point, pictures = stage?.pictures ?? {}
    const meta = (id) => stage.frames.figures[id]?.layout.meta, pointed = point && meta(point.picture)
    const look = root.querySelector('.look')
    look.hidden = !pointed
    if (pointed) look.textContent = fill(this.words.look, { picture: bare(pointed.question) })
    for (const [id, picture] of Object.entries(pictures)) {
      picture.root.classList.toggle('pointed', id === point?.picture)
      let line = picture.plot.querySelector('.pointer')
      const there = pointed && point.at !== null && picture.box && meta(id)?.x === pointed.x ? this.#place(picture, point.at) : null
      if (there === null) { line?.remove(); continue }
      if (!line) {
        line = picture.plot.appendChild(Object.assign(document.createElement('div'), { className: 'pointer', innerHTML: '<b></b>' }))
        line.setAttribute('aria-hidden', 'true')
      }
      const { t } = picture.look.margin
      line.style.transform = `translate(${Math.round(there)}px, ${t}px)`
      line.style.height = `${picture.box.h}px`
      line.classList.toggle('left', there > picture.width * 0.7)
      line.firstChild.textContent = `${bare(meta(id).x)} = ${point.at}`
    }
  }

  #place(picture, at) {
    const [a, b] = picture.ranges.x, x = ((at - a) / (b - a)) * picture.box.w
    return x >= -1 && x <= picture.box.w + 1 ? picture.look.margin.l + x : null
  }
}

export default async function mount({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector('#room')
  await styled()
  const trigger = (name, value) => setTriggerValue(name, value)
  if (root.student?.data.stage.token !== data.stage.token) root.student = new Student(root, data, trigger)
  await root.student.update(data, trigger)
}
