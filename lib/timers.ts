/**
 * Timers as they were at the start. Tests of apps put others in their places (node:test's mock.timers and its like), whose time
 * stands still: that stops no handshake of node:tls, nor one of ours.
 */
export const { nextTick } = process;

export const { setImmediate, setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
