/**
 * Answers for one key leave in the order in which they were asked for, whichever thread was done first: natively, handshakes that
 * began one after the other end so. Other keys are not waited for.
 */
export class AnswerOrder {
  readonly #last = new Map<string, Promise<void>>();

  /** How many keys have answers that are not sent yet. */
  get busyKeys(): number {
    return this.#last.size;
  }

  /**
   * @param key whose answer it is; `undefined`: of none, in no order
   * @param answer which never rejects
   */
  send(key: Uint8Array | undefined, answer: Promise<Buffer>, write: (answer: Buffer) => void): void {
    if (key === undefined) {
      answer.then(write);
      return;
    }
    const name = Buffer.from(key).toString('latin1');
    const before = this.#last.get(name);
    const inTurn = before === undefined ? answer : before.then(() => answer);
    const sent = inTurn.then((bytes) => {
      write(bytes);
      if (this.#last.get(name) === sent) this.#last.delete(name);
    });
    this.#last.set(name, sent);
  }
}
