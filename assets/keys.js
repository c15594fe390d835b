// Ctrl+Z and Ctrl+Shift+Z (or Ctrl+Y) press the sidebar's buttons. Streamlit's own shortcuts also fire while somebody types.
(() => {
  if (window.__keys) return
  window.__keys = (e) => {
    const key = e.key.toLowerCase()
    if (!(e.ctrlKey || e.metaKey) || e.altKey || (key !== 'z' && key !== 'y')) return
    const from = e.composedPath()[0], slider = /^(range|radio|checkbox|button)$/.test(from.type ?? '')
    const closed = from.getAttribute?.('role') === 'combobox' && from.getAttribute('aria-expanded') !== 'true' // a menu that was used
    if (from.isContentEditable || from.matches?.('textarea, select, input') && !slider && !closed) return
    const button = document.querySelector(`.st-key-${key === 'y' || e.shiftKey ? 'redo' : 'undo'} button`)
    if (!button) return
    e.preventDefault()
    e.stopPropagation()
    if (!button.disabled) button.click()
  }
  document.addEventListener('keydown', window.__keys, true)
})()
