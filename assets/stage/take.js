// A picture to take away: a menu in its corner that hands out what is shown, as PNG, SVG, interactive HTML or CSV.
// All of it is made here, of the figure that is here: the server keeps nothing, and draws nothing twice.

import { standing } from './take_figure.js'
import { page } from './take_page.js'
import { table } from './take_table.js'
import { bare } from './text.js'

const KINDS = ['png', 'svg', 'html', 'csv']
const ICON = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M8 1.5v8M4.6 6.4 8 9.8l3.4-3.4M2.5 11.5v2.5h11v-2.5"/></svg>'

export class Take {
  constructor(picture) {
    this.picture = picture
    const { root, words } = picture
    this.button = Object.assign(document.createElement('button'), { type: 'button', className: 'take', title: words.take, innerHTML: ICON })
    this.button.setAttribute('aria-haspopup', 'menu')
    this.menu = Object.assign(document.createElement('div'), { className: 'takes', hidden: true })
    this.menu.setAttribute('role', 'menu')
    this.menu.append(...KINDS.map((kind) => {
      const item = Object.assign(document.createElement('button'), { type: 'button', textContent: words['take_' + kind], tabIndex: -1 })
      item.setAttribute('role', 'menuitem')
      item.dataset.take = kind
      return item
    }))
    root.append(this.button, this.menu)
    this.#open(false)
    this.button.onclick = () => this.#open(this.menu.hidden)
    this.menu.onclick = (e) => { const kind = e.target.closest('[data-take]')?.dataset.take; if (kind) this.give(kind) }
    this.menu.onkeydown = (e) => this.#key(e)
    this.away = (e) => { if (!this.menu.hidden && !this.menu.contains(e.target) && !this.button.contains(e.target)) this.#open(false) }
    document.addEventListener('pointerdown', this.away)
    this.menu.addEventListener('focusout', (e) => { if (!root.contains(e.relatedTarget)) this.#open(false) })
  }

  close() { document.removeEventListener('pointerdown', this.away) }

  /** Called whenever another figure is shown: whoever hears the page hears which picture the button is of. */
  named(question) {
    const said = `${this.picture.words.take}: ${bare(question)}`
    if (this.button.getAttribute('aria-label') !== said) this.button.setAttribute('aria-label', said)
  }

  #open(open) {
    this.menu.hidden = !open
    this.button.setAttribute('aria-expanded', String(open))
    this.picture.root.classList.toggle('taking', open)
    if (open) this.menu.firstChild.focus()
  }

  #key(e) {
    const items = [...this.menu.children], at = items.indexOf(document.activeElement), by = { ArrowDown: 1, ArrowUp: -1 }[e.key]
    if (by) items[(at + by + items.length) % items.length].focus()
    else if (e.key === 'Home' || e.key === 'End') items.at(e.key === 'Home' ? 0 : -1).focus()
    else if (e.key === 'Escape') { this.#open(false); this.button.focus() } else return
    e.preventDefault()
    e.stopPropagation()
  }

  /** Hand it out as a file. */
  async give(kind) {
    const { button, picture } = this
    this.#open(false)
    button.focus()
    button.classList.add('busy')
    button.setAttribute('aria-busy', 'true')
    try {
      download(await this.file(kind), this.name(kind))
      button.title = picture.words.take
    } catch (error) {
      console.error(error)
      button.title = picture.words.take_failed
      button.setAttribute('aria-label', picture.words.take_failed)
    }
    button.classList.remove('busy')
    button.removeAttribute('aria-busy')
  }

  name(kind) {
    const { source, question } = this.picture.copy().figure.layout.meta
    const parts = source ? [source.picture, source.file, source.step === null ? '' : 'step' + source.step] : [bare(question).replace(/[^\p{L}\p{N}]+/gu, '-')]
    return parts.filter(Boolean).join('_') + '.' + kind
  }

  async file(kind) {
    const { picture } = this
    if (kind === 'csv') return new Blob([table(picture.copy().figure)], { type: 'text/csv;charset=utf-8' })
    const figure = standing(picture)
    if (kind === 'html') return new Blob([await page(figure)], { type: 'text/html;charset=utf-8' })
    const { width, height } = figure.layout, given = { data: figure.data, layout: figure.layout }
    const made = await picture.plotly.toImage(given, { format: kind, width, height, scale: kind === 'png' ? 2 : 1 })
    return await (await fetch(made)).blob() // a data: URL
  }
}

function download(blob, name) {
  const url = URL.createObjectURL(blob)
  Object.assign(document.createElement('a'), { href: url, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
