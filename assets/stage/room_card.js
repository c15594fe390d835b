// The question of a room, with its choices as bars: the same for students and lecturer, who differ in what they may press.

import { fill, html } from './text.js'

const share = (n, all) => (all ? Math.round((100 * n) / all) : 0)

/**
 * Show a question in `root`. `mine`: the reader's own choice; `press(i)`: a choice was pressed (null: none can be);
 * `foot`: the sentence below. Elements stay where they are as long as the question does, so that none moves under a finger.
 */
export function card(root, { question: q, mine, words, foot, press }) {
  if (root.number !== q.number || !root.firstChild) {
    root.number = q.number
    root.innerHTML = '<h2></h2><ol></ol><p class="foot" aria-live="polite"></p>'
    html(root.querySelector('h2'), q.text)
    root.querySelector('ol').replaceChildren(...q.choices.map((text, i) => {
      const row = document.createElement('li'), button = Object.assign(document.createElement('button'), { type: 'button' })
      button.innerHTML = '<i class="bar"></i><span class="mark" aria-hidden="true"></span><span class="choice"></span><span class="count"></span>'
      html(button.querySelector('.choice'), text)
      button.onclick = () => root.press?.(i)
      row.append(button)
      return row
    }))
  }
  root.press = press
  root.dataset.phase = q.phase
  const all = q.votes?.reduce((sum, n) => sum + n, 0)
  for (const [i, row] of [...root.querySelectorAll('li')].entries()) {
    const button = row.firstChild, find = (selector) => button.querySelector(selector), right = q.right === i
    row.className = [right && 'right', mine === i && 'mine', q.right !== null && !right && 'wrong'].filter(Boolean).join(' ')
    button.disabled = !press
    button.setAttribute('aria-pressed', String(mine === i))
    find('.mark').textContent = right ? '✓' : mine === i ? '●' : ''
    find('.bar').style.width = q.votes ? `${share(q.votes[i], all)}%` : '0'
    const said = [q.votes && fill(all ? words.votes_share : words.votes, { n: q.votes[i], share: share(q.votes[i], all) }), mine === i && words.mine, right && words.right]
    find('.count').textContent = said.filter(Boolean).join(' · ')
  }
  html(root.querySelector('.foot'), foot)
}
