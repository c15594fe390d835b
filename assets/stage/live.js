// The socket to the run: opens, reopens, and says what is the matter.

const FIRST = 500, LONGEST = 8000 // ms between tries
const UNKNOWN = 4404 // the server does not know this run (any more)
const FULL = 4429 // the run is open in too many windows: the frame before has said so
const PATIENCE = 2 // failed tries before a socket that never opened is called impossible

export class Live {
  state = 'connecting' // connecting, open, offline, impossible, ended
  #socket = null
  #wait = FIRST
  #timer = 0
  #failed = 0
  #ever = false

  /** `pictures`: which of them the server is to draw; `language`: of their words; `route`: where such tokens are known. */
  constructor({ token, pictures, language, route = 'live' }, { onFrame, onState, onText, asks }) {
    Object.assign(this, { token, pictures, language, route, onFrame, onState, onText, asks })
    this.wake = () => { if (document.visibilityState === 'visible' && this.#timer) this.now() }
    this.cut = () => { if (this.#socket) { this.#drop(); this.#lost() } } // a socket without a network stays open, and silent, for minutes
    addEventListener('online', this.wake)
    addEventListener('offline', this.cut)
    document.addEventListener('visibilitychange', this.wake)
    this.#open()
  }

  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false
    this.#socket.send(JSON.stringify(message))
    return true
  }

  /** Try again now, without waiting. */
  now() {
    clearTimeout(this.#timer)
    this.#timer = 0
    this.#open()
  }

  close() {
    removeEventListener('online', this.wake)
    removeEventListener('offline', this.cut)
    document.removeEventListener('visibilitychange', this.wake)
    clearTimeout(this.#timer)
    this.#timer = 0
    this.#drop()
  }

  #drop() {
    const socket = this.#socket
    this.#socket = null // its close is no loss
    socket?.close()
  }

  #become(state) {
    if (this.state === state) return
    this.state = state
    this.onState(state)
  }

  #open() {
    const url = new URL(`${this.route}/${this.token}`, document.baseURI)
    url.protocol = url.protocol.replace('http', 'ws')
    url.hash = ''
    url.search = new URLSearchParams({ pictures: this.pictures, lang: this.language, ...this.asks?.() })
    const socket = (this.#socket = new WebSocket(url))
    socket.binaryType = 'arraybuffer'
    socket.onopen = () => {
      if (socket !== this.#socket) return socket.close()
      this.#wait = FIRST
      this.#failed = 0
      this.#ever = true
      this.#become('open')
    }
    socket.onmessage = ({ data }) => { if (socket === this.#socket) typeof data === 'string' ? this.onText?.(data) : this.onFrame(data) }
    socket.onclose = ({ code }) => {
      if (socket !== this.#socket) return
      this.#socket = null
      if (code === UNKNOWN) return this.#become('ended')
      if (code === FULL) return void (this.#timer = setTimeout(() => this.now(), LONGEST))
      this.#lost()
    }
  }

  /** The connection is gone: say so, and try again. */
  #lost() {
    this.#failed++
    this.#become(this.#ever ? 'offline' : this.#failed >= PATIENCE ? 'impossible' : 'connecting')
    this.#timer = setTimeout(() => this.now(), this.#wait)
    this.#wait = Math.min(2 * this.#wait, LONGEST)
  }
}
