// Keys beside the player's: one picture over the whole window, presets, lecture mode, and the list of all keys.

const TYPING = 'input:not([type=range], [type=radio], [type=checkbox]), select, textarea, [contenteditable]'
const OPEN = '[role=dialog], [role=listbox], [role=menu], [data-testid=stPopoverBody]' // what lies over the page has the keys
const BEHIND = '[data-testid=stSidebar], [data-testid=stHeader]'
const all = new Set()

const element = (tag, more, ...children) => {
  const made = Object.assign(document.createElement(tag), more)
  made.append(...children)
  return made
}

/** The keys of one stage, or of pictures that stand still. `said`: app.lecture.keys(); `change` asks the page for something. */
export class Keys {
  constructor(root, said, change = null) {
    Object.assign(this, { root, said, change })
    root.classList.remove('alone')
    all.add(this)
    root.addEventListener('dblclick', (this.twice = (e) => { if (e.target.closest('figure > h2')) this.toggle(e.target.closest('figure')) }))
  }

  close() {
    this.leave()
    this.dialog?.remove()
    this.root.removeEventListener('dblclick', this.twice)
    all.delete(this)
  }

  get alone() {
    return this.root.classList.contains('alone')
  }

  /** One picture over the whole window, or all of them again. */
  toggle(figure) {
    if (this.alone) return this.leave()
    const { root } = this
    this.before = document.activeElement
    figure.classList.add('chosen')
    figure.append((this.back = element('button', { type: 'button', className: 'back', textContent: '✕', title: this.said.back, onclick: () => this.leave() })))
    this.back.setAttribute('aria-label', this.said.back)
    root.classList.add('alone')
    root.popover = 'manual' // the browser's top layer: over all, whatever lies over what on the page
    root.showPopover()
    for (const behind of document.querySelectorAll(BEHIND)) behind.inert = true
    root.tabIndex = -1
    root.focus({ preventScroll: true })
  }

  leave() {
    if (!this.alone) return
    const { root } = this
    this.back.remove()
    if (root.isConnected) root.hidePopover()
    root.removeAttribute('popover')
    root.classList.remove('alone')
    for (const figure of root.querySelectorAll('figure.chosen')) figure.classList.remove('chosen')
    for (const behind of document.querySelectorAll(BEHIND)) behind.inert = false
    if (this.before?.isConnected) this.before.focus({ preventScroll: true })
  }

  /** The list of all keys. */
  help() {
    if (this.dialog?.open) return this.dialog.close()
    const { title, close, rows, presets } = this.said
    const list = (pairs) => element('dl', {}, ...pairs.flatMap(([key, text]) => [element('dt', {}, element('kbd', { textContent: key })), element('dd', { textContent: text })]))
    const head = element('h2', { textContent: title, id: 'keys-title' })
    const button = element('button', { type: 'button', textContent: close, onclick: () => this.dialog.close() })
    const lists = element('div', { className: 'lists' }, list(rows), ...(presets.length ? [list(presets.map(([key, , label]) => [key, label]))] : []))
    this.dialog?.remove()
    this.dialog = element('dialog', { className: 'keys' }, head, button, lists)
    this.dialog.setAttribute('aria-labelledby', 'keys-title')
    this.dialog.addEventListener('click', (e) => { if (e.target === this.dialog) this.dialog.close() })
    this.root.append(this.dialog)
    this.dialog.showModal()
  }

  /** Do what a key says; returns whether it says anything here. */
  press(key, figure) {
    const lecture = this.root.dataset.mode === 'lecture'
    const preset = this.said.presets.find(([digit]) => digit === key)
    if (key === '?') this.help()
    else if (key === 'f') this.toggle(figure)
    else if (key === 'Escape' && this.alone) this.leave()
    else if (!this.change) return false
    else if (key === 'Escape' && lecture || key === 'l') this.change({ lecture: !lecture })
    else if (preset) this.change({ preset: preset[1] })
    else return false
    return true
  }
}

/** The picture that is meant: the one that is alone, under the pointer, has the focus, or is the first to be seen. */
function meant() {
  const figures = [...all].flatMap(({ root }) => [...root.querySelectorAll('figure')]), seen = (f) => f.getBoundingClientRect().bottom > 60
  return figures.find((f) => f.matches('.chosen')) ?? figures.find((f) => f.matches(':hover')) ?? figures.find((f) => f.contains(document.activeElement)) ?? figures.find(seen) ?? figures[0]
}

document.addEventListener('keydown', (e) => {
  for (const keys of all) if (!keys.root.isConnected) keys.close()
  const from = e.composedPath()[0], key = e.key.length === 1 ? e.key.toLowerCase() : e.key
  if (!all.size || e.ctrlKey || e.metaKey || e.altKey || e.repeat || from.matches?.(TYPING)) return
  const open = [...document.querySelectorAll(OPEN)].some((o) => o.checkVisibility()), listed = document.querySelector('dialog.keys[open]')
  if (open || listed && key !== '?') return
  const figure = meant(), keys = [...all].find(({ root }) => root.contains(figure))
  if (!keys?.press(key, figure)) return
  e.preventDefault()
  e.stopPropagation()
}, true)
