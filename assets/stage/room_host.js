// The lecturer's side of a room: how many watch, the question with its votes, the cover over hidden pictures, and the
// pointer, which goes to the students' screens. Streamlit calls mount at every rerun.

import { Live } from './live.js'
import { themeOf } from './page.js'
import { styled } from './room.js'
import { card } from './room_card.js'
import { fill, html } from './text.js'

const EVERY = 150 // ms between two words about where the pointer is
const LASTS = 1500 // ms that a pointer stays which has left the pictures

class Host {
  room = null
  #said = 'null'
  #due = 0
  #timer = 0

  constructor(root, data, trigger) {
    Object.assign(this, { root, data, trigger })
    root.innerHTML = `<div class="cover"><header><b class="code"></b><span class="count" role="status"></span><span class="join"></span></header><p class="settings"></p>
      <section class="card" hidden></section><p class="hint"></p><footer></footer></div>`
    this.live = new Live({ token: data.token, pictures: '', language: data.language, route: 'room' }, {
      onFrame() {}, onText: (text) => this.#told(JSON.parse(text)), onState: () => this.#show(),
    })
    this.#keep(86400) // the browser may be closed and opened again; a room's token dies with the room
    this.moved = (e) => this.#moved(e)
    for (const type of ['pointermove', 'pointerdown']) document.addEventListener(type, this.moved, true)
    this.watch = setInterval(() => { if (!root.isConnected) this.close() }, 500)
    this.size = new ResizeObserver(([{ target }]) => root.style.setProperty('--left', `${target.getBoundingClientRect().left}px`))
    const main = document.querySelector('[data-testid=stMain]')
    if (main) this.size.observe(main) // a cover leaves the sidebar free
    root.querySelector('footer').onclick = (e) => { const { act } = e.target.closest('button')?.dataset ?? {}; if (act) this.trigger('act', { do: act, number: this.room?.question?.number ?? 0 }) }
  }

  update(data, trigger) {
    Object.assign(this, { data, trigger })
    this.#show()
  }

  close() {
    this.live.close()
    clearInterval(this.watch)
    clearTimeout(this.#timer)
    this.size.disconnect()
    for (const type of ['pointermove', 'pointerdown']) document.removeEventListener(type, this.moved, true)
    hosts.delete(this)
  }

  /** Let a page that this browser loads within so many seconds be the lecturer's too. */
  #keep(seconds) {
    document.cookie = `${this.data.cookie}=${this.data.token}; path=/; SameSite=Strict; max-age=${seconds}`
  }

  #told({ room, over }) {
    if (room) this.room = room
    if (over) {
      this.#keep(0)
      this.trigger('act', { do: 'over', number: 0 })
    }
    this.#show()
  }

  #show() {
    const { root, room, data: { words, code, join } } = this, find = (selector) => root.querySelector(selector), q = room?.question
    root.classList.toggle('dark', themeOf(root) === 'dark')
    root.classList.toggle('lecture', document.querySelector('#stage')?.dataset.mode === 'lecture')
    root.classList.toggle('aside', q?.kind === 'learns') // its answer is in the pictures at the right
    root.dataset.shape = room?.hidden ? 'cover' : q ? 'card' : 'chip'
    find('.code').textContent = code
    find('.join').textContent = fill(words.join, { link: join })
    find('.count').textContent = this.live.state === 'open' && room ? fill(room.watching === 1 ? words.watching_one : words.watching, { n: room.watching }) : words.connecting_room
    const button = document.querySelector('.st-key-room_menu [data-testid=stPopoverButton]')
    if (button && room) button.dataset.count = `· ${room.watching}`
    find('.settings').textContent = room?.settings ?? ''
    find('.hint').textContent = room?.hidden && !q ? words.covered_host : ''
    find('.card').hidden = !q
    if (q) this.#ask(q)
    const acts = !q ? (room?.hidden ? ['reveal'] : []) : q.phase === 'open' ? [q.kind === 'own' ? 'end' : 'answer', 'back'] : ['back']
    const said = `${acts} ${q?.phase}`
    if (find('footer').said === said) return
    find('footer').said = said
    find('footer').replaceChildren(...acts.map((act) => {
      const button = Object.assign(document.createElement('button'), { type: 'button', textContent: q?.phase === 'answered' && act === 'back' ? words.act_done : words['act_' + act] })
      button.dataset.act = act
      return button
    }))
  }

  #ask(q) {
    const { data: { words }, room } = this, counts = { n: q.voted, all: room.watching, goal: q.goal }
    const choosing = q.kind === 'own' && q.phase === 'answered' && q.right === null
    let foot = fill(words.voted_host, counts)
    if (q.phase === 'running') foot = fill(words.running_host, counts)
    if (q.phase === 'answered') foot = choosing ? words.mark : q.said
    const press = choosing ? (i) => this.trigger('act', { do: 'mark', number: q.number, choice: i }) : null
    card(this.root.querySelector('.card'), { question: q, mine: null, words, foot, press })
  }

  // --- the pointer

  #moved(e) {
    if (!this.data.points) return
    const figure = e.target.closest?.('#stage figure'), picture = figure?.closest('#stage').stage?.pictures?.[figure.id]
    clearTimeout(this.#timer)
    if (!picture?.box) { this.#timer = setTimeout(() => this.#say(null, null), LASTS); return }
    const { left } = picture.plot.getBoundingClientRect(), [a, b] = picture.ranges.x
    const part = (e.clientX - left - picture.look.margin.l) / picture.box.w, inside = part >= 0 && part <= 1
    const wait = this.#due - performance.now(), say = () => this.#say(figure.id, inside ? Math.round(a + part * (b - a)) : null)
    if (wait > 0) this.#timer = setTimeout(say, wait)
    else say()
  }

  #say(picture, at) {
    const said = JSON.stringify([picture, at])
    if (said === this.#said || !this.live.send({ do: 'point', picture, at })) return
    this.#said = said
    this.#due = performance.now() + EVERY
  }
}

const hosts = new Set()

export default async function mount({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector('#host')
  await styled()
  const trigger = (name, value) => setTriggerValue(name, value)
  for (const host of hosts) if (!host.root.isConnected || (host.root === root && host.data.token !== data.token)) host.close()
  const here = [...hosts].find((host) => host.root === root)
  if (here) here.update(data, trigger)
  else hosts.add(new Host(root, data, trigger))
}
