/**
 * Answers for one key leave in the order in which they were asked for, whichever thread was done first: natively, handshakes that
 * began one after the other end so. Other keys are not waited for.
 */
export class AnswerOrder {
  readonly #last = new Map<string, Promise<void>>();

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
    const sent = before === undefined ? answer.then(write) : before.then(() => answer).then(write);
    this.#last.set(name, sent);
  }
}
