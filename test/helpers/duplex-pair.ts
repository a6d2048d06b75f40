/** Two streams in JavaScript, each one's output the other's input (Node 20 has no stream.duplexPair). */
import { Duplex } from 'node:stream';

class Half extends Duplex {
  #other: Half | undefined;
  #release: (() => void) | undefined;

  join(other: Half): void {
    this.#other = other;
  }
  override _read(): void {
    const release = this.#release;
    this.#release = undefined;
    release?.();
  }
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const other = this.#other as Half;
    other.#release = done;
    if (other.destroyed || other.readableEnded) done();
    else other.push(chunk);
  }
  override _final(done: () => void): void {
    this.#other?.push(null);
    done();
  }
}

/** @returns two connected streams */
export function duplexPair(): [Duplex, Duplex] {
  const [one, two] = [new Half(), new Half()];
  one.join(two);
  two.join(one);
  return [one, two];
}
