// Of every page. Ctrl+Z and Ctrl+Shift+Z (or Ctrl+Y) press the sidebar's buttons. Streamlit's own shortcuts also fire while somebody types.
(() => {
  if (window.__keys) return
  const PATIENCE = 2000 // ms after which a press that changed nothing no longer holds up the next
  const DRAWN = 1000 // ms in which a page that is being drawn may still let a button be pressed
  const presses = [] // each waits until the page shows what the one before has done: until then the button is an old one
  let from, since = 0 // the choice in which a button was pressed last, and when
  const press = () => {
    const now = document.querySelector('.st-key-changes p')?.dataset.count, wait = performance.now() - Math.max(since, presses[0].when)
    const drawing = document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'running'
    if ((now === from || drawing) && wait < PATIENCE) return setTimeout(press, 20)
    const button = document.querySelector(`.st-key-${presses[0].name} button`)
    if (button?.disabled && performance.now() - presses[0].when < DRAWN) return setTimeout(press, 20)
    presses.shift()
    if (button && !button.disabled) {
      [from, since] = [now, performance.now()]
      button.click()
    }
    if (presses.length) setTimeout(press, 20)
  }
  window.__keys = (e) => {
    const key = e.key.toLowerCase()
    if (!(e.ctrlKey || e.metaKey) || e.altKey || (key !== 'z' && key !== 'y')) return
    const from = e.composedPath()[0], slider = /^(range|radio|checkbox|button)$/.test(from.type ?? '')
    const closed = from.getAttribute?.('role') === 'combobox' && from.getAttribute('aria-expanded') !== 'true' // a menu that was used
    if (from.isContentEditable || from.matches?.('textarea, select, input') && !slider && !closed) return
    if (!document.querySelector('.st-key-history')) return
    e.preventDefault()
    e.stopPropagation()
    if (e.repeat && presses.length) return // a held key goes as fast as the page, and ends with it
    const name = key === 'y' || e.shiftKey ? 'redo' : 'undo'
    if (presses.push({ name, when: performance.now() }) === 1) press()
  }
  document.addEventListener('keydown', window.__keys, true)
  // Streamlit draws an open menu at the end of the page: Tab goes from its button into it, and from its ends back; Esc, which
  // Streamlit knows, closes it. What closes and takes the focus with it leaves it to its button, or to an open room's.
  document.addEventListener('keydown', (e) => {
    const button = document.querySelector('[data-testid=stPopoverButton][aria-expanded=true]'), menu = document.querySelector('[data-testid=stPopoverBody]')
    const here = document.activeElement
    if (e.key === 'Escape' && document.querySelector('[data-testid=stDialog]')) return closed(60, '.st-key-room_menu button')
    if (!button || !menu) return
    if (e.key === 'Enter' && menu.contains(here)) return closed(60, `.${button.closest('[class*=st-key-]').className.match(/st-key-\S+/)[0]} button`)
    if (e.key !== 'Tab') return
    const inside = [...menu.querySelectorAll('a[href], button, input, select, textarea, [tabindex="0"]')].filter((x) => !x.disabled && x.tabIndex >= 0 && x.getClientRects().length)
    const to = here === button ? !e.shiftKey && inside[0] : here === inside.at(e.shiftKey ? 0 : -1) && button
    if (!to) return
    e.preventDefault()
    to.focus()
  }, true)
  const closed = (tries, button) => {
    const gone = !document.querySelector('[data-testid=stDialog], [data-testid=stPopoverBody]') && document.activeElement === document.body
    if (gone) document.querySelector(button)?.focus()
    else if (tries) setTimeout(closed, 50, tries - 1, button)
  }
  // On a phone the sidebar lies over the page: another page begins without it, whatever led there; and of the row of pages
  // its own is in view.
  const arrive = (tries, moved) => {
    const row = document.querySelector('.st-key-pages'), here = [...document.querySelectorAll('.st-key-pages a')].find((a) => a.pathname === location.pathname)
    if (here) row.scrollLeft += here.getBoundingClientRect().left - row.getBoundingClientRect().left - row.clientWidth / 3
    const close = moved && document.querySelector('[data-testid=stSidebar][data-collapsed=false] [data-testid=stSidebarCollapseButton] button')
    if (close) close.click()
    else if (tries) setTimeout(() => arrive(tries - 1, moved), 100) // they may come after the page
  }
  let shown
  // The first stop of Tab leads past all controls; and what reads the page aloud has to know in which language.
  const skip = Object.assign(document.createElement('a'), { className: 'skip', href: '#stage' })
  skip.onclick = (e) => {
    e.preventDefault() // the address says the experiment, and nothing of where one reads
    const to = document.querySelector('#stage, .still') ?? document.querySelector('[data-testid=stMain]')
    to?.setAttribute('tabindex', '-1')
    to?.focus()
  }
  document.body.prepend(skip)
  window.__page = ({ language, skip: text, page }) => {
    if (page !== shown && innerWidth < 768) arrive(8, Boolean(shown))
    shown = page
    document.documentElement.lang = language
    skip.textContent = text
  }
})()
