/* The random numbers of Python: the same seed gives the numbers of `random.Random(seed)`, so that
   data, weights and dropped units of a page are those of the program in Python.

   Source: Matsumoto and Nishimura, Mersenne Twister, 1998, and the methods of CPython's module. */

/*!
 * The generator in this file is the Mersenne Twister, as in mt19937ar.c:
 *
 * Copyright (C) 1997 - 2002, Makoto Matsumoto and Takuji Nishimura,
 * All rights reserved.
 *
 * Redistribution and use in source and binary forms, with or without
 * modification, are permitted provided that the following conditions
 * are met:
 *
 *   1. Redistributions of source code must retain the above copyright
 *      notice, this list of conditions and the following disclaimer.
 *
 *   2. Redistributions in binary form must reproduce the above copyright
 *      notice, this list of conditions and the following disclaimer in the
 *      documentation and/or other materials provided with the distribution.
 *
 *   3. The names of its contributors may not be used to endorse or promote
 *      products derived from this software without specific prior written
 *      permission.
 *
 * THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS
 * "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT
 * LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR
 * A PARTICULAR PURPOSE ARE DISCLAIMED.  IN NO EVENT SHALL THE COPYRIGHT OWNER OR
 * CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL,
 * EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT LIMITED TO,
 * PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR
 * PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF
 * LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING
 * NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS
 * SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
 */

const SIZE = 624
const MIDDLE = 397

/** A generator of random numbers, like Python's `random.Random`. */
export class Random {
  #state = new Uint32Array(SIZE)
  #at = SIZE
  /** @type {number | null} the second number of a pair that `gauss` has made */
  #next = null

  /** @param {number} seed a whole number from 0 to 2**53 */
  constructor(seed) {
    const key = seed < 2 ** 32 ? [seed] : [seed % 2 ** 32, Math.floor(seed / 2 ** 32)]
    const state = this.#state
    state[0] = 19650218
    for (let i = 1; i < SIZE; i++) state[i] = Math.imul(1812433253, mixed(state, i)) + i
    let i = 1
    for (let k = 0; k < SIZE; k++) {
      const at = k % key.length
      state[i] = (state[i] ^ Math.imul(mixed(state, i), 1664525)) + key[at] + at
      i = this.#after(i)
    }
    for (let k = 1; k < SIZE; k++) {
      state[i] = (state[i] ^ Math.imul(mixed(state, i), 1566083941)) - i
      i = this.#after(i)
    }
    state[0] = 2 ** 31
  }

  /** @param {number} i */
  #after(i) {
    if (i + 1 < SIZE) return i + 1
    this.#state[0] = this.#state[SIZE - 1]
    return 1
  }

  /** Returns a whole number of 32 random bits. */
  #word() {
    const state = this.#state
    if (this.#at === SIZE) {
      for (let i = 0; i < SIZE; i++) {
        const y = (state[i] & 0x80000000) | (state[(i + 1) % SIZE] & 0x7fffffff)
        state[i] = state[(i + MIDDLE) % SIZE] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0)
      }
      this.#at = 0
    }
    let y = state[this.#at++]
    y ^= y >>> 11
    y ^= (y << 7) & 0x9d2c5680
    y ^= (y << 15) & 0xefc60000
    return (y ^ (y >>> 18)) >>> 0
  }

  /** Returns a number >= 0 and < 1. */
  random() {
    const high = this.#word() >>> 5
    return (high * 2 ** 26 + (this.#word() >>> 6)) / 2 ** 53
  }

  /** Returns a whole number >= 0 and < n, as `randrange(n)`.
   * @param {number} n at most 2**52
   */
  below(n) {
    const bits = Math.floor(Math.log2(n)) + 1
    for (;;) {
      const low = bits < 32 ? this.#word() >>> (32 - bits) : this.#word()
      const found = low + (bits > 32 ? (this.#word() >>> (64 - bits)) * 2 ** 32 : 0)
      if (found < n) return found
    }
  }

  /** @param {number} low @param {number} high */
  uniform(low, high) {
    return low + (high - low) * this.random()
  }

  /** @param {number} mean @param {number} std */
  gauss(mean, std) {
    let z = this.#next
    this.#next = null
    if (z === null) {
      const angle = this.random() * 2 * Math.PI
      const radius = Math.sqrt(-2 * Math.log(1 - this.random()))
      z = Math.cos(angle) * radius
      this.#next = Math.sin(angle) * radius
    }
    return mean + z * std
  }

  /** Returns one of the entries. @template T @param {T[]} entries */
  choice(entries) {
    return entries[this.below(entries.length)]
  }

  /** Returns entries that are drawn one after the other, each of all.
   * @template T @param {T[]} entries @param {number} count
   */
  choices(entries, count) {
    return Array.from({ length: count }, () => entries[Math.floor(this.random() * entries.length)])
  }

  /** Puts entries in a random order. @template T @param {T[]} entries */
  shuffle(entries) {
    for (let i = entries.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      ;[entries[i], entries[j]] = [entries[j], entries[i]]
    }
  }
}

/** @type {(state: Uint32Array, i: number) => number} */
function mixed(state, i) {
  return state[i - 1] ^ (state[i - 1] >>> 30)
}
