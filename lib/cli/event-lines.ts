/** One line for each event on standard output: `time event name=value …`, or a JSON object. */
import { type DestinationStream, pino } from 'pino';
import { type Clock, systemClock } from '../clock.ts';
import { type Rate, TokenBucket } from '../server/token-bucket.ts';
import { endSoon } from './end-soon.ts';
import { LineOutput } from './line-output.ts';

/** Those that are `undefined` are left out. */
export type Fields = Readonly<Record<string, string | number | undefined>>;

/** @param fields or what makes them, if the line is printed at all */
export type Print = (event: string, fields: Fields | (() => Fields)) => void;

/** A number that is one in JSON, too. @param digits behind the point, at most */
export function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** Words as they are, anything else as a JSON string in ASCII: a line can be taken apart again, and is one line. */
function quoted(value: string | number): string {
  const text = String(value);
  if (/^[\w.:+/@=-]+$/.test(text)) return text;
  const escapeCharacter = (character: string) =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(text).replace(/[^ -~]/g, escapeCharacter);
}

function textLine(event: string, fields: Fields): string {
  const words = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : `${name}=${quoted(value)}`,
  );
  return [new Date().toISOString(), event, ...words].join(' ');
}

/** Of one event, if each is not asked for; a flood of peers or of operations must not fill a disk, or take the time that signing needs. */
const LINES: Rate = { perSecond: 100, burst: 1000 };
/** Where there are more, those of a while together, and one that tells of the rest: each write by itself costs as much as a signature. */
const PAUSE_MS = 1000;
/** For what is not written yet when all ends. */
const END_MS = 1000;
const PROBLEM = /problem|refused/;

/** @returns whether there was room for it */
type Write = (event: string, fields: Fields) => boolean;

function jsonWriter(destination: DestinationStream): (event: string, fields: Fields) => void {
  const logger = pino(
    {
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
    },
    destination,
  );
  return (event, fields) => logger[PROBLEM.test(event) ? 'warn' : 'info']({ event, ...fields });
}

interface EventState {
  readonly bucket: TokenBucket;
  /** Lines left out since the last one. */
  left: number;
  /** Until when they are, milliseconds on the clock. */
  pausedUntil: number;
}

/** Tells how many lines of an event it has left out, before the next that it lets through. */
class LimitedLines {
  readonly #write: Write;
  readonly #clock: Clock;
  readonly #unlimited: ReadonlySet<string>;
  readonly #events = new Map<string, EventState>();
  /** What comes after the end is not printed. */
  #ended = false;

  constructor(write: Write, clock: Clock, unlimited: ReadonlySet<string>) {
    this.#write = write;
    this.#clock = clock;
    this.#unlimited = unlimited;
  }

  print(event: string, fields: Parameters<Print>[1]): void {
    if (this.#ended) return;
    let state = this.#events.get(event);
    if (state === undefined) {
      state = { bucket: new TokenBucket(LINES, this.#clock), left: 0, pausedUntil: 0 };
      this.#events.set(event, state);
    }
    if (!this.#unlimited.has(event) && !this.#mayWrite(state)) {
      state.left += 1;
      return;
    }
    this.#tellLeft(event, state);
    if (!this.#write(event, typeof fields === 'function' ? fields() : fields)) state.left += 1;
  }

  /** @returns `false`: there was no room to tell of all that was left out */
  end(): boolean {
    this.#ended = true;
    for (const [event, state] of this.#events) this.#tellLeft(event, state);
    return [...this.#events.values()].every(({ left }) => left === 0);
  }

  #mayWrite(state: EventState): boolean {
    const now = this.#clock.now();
    if (now < state.pausedUntil) return false;
    if (state.bucket.take()) return true;
    state.pausedUntil = now + PAUSE_MS;
    return false;
  }

  #tellLeft(event: string, state: EventState): void {
    if (state.left > 0 && this.#write('left-out', { of: event, lines: state.left })) state.left = 0;
  }
}

function withinTime(done: Promise<void>, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const impatience = clock.after(END_MS, resolve);
    impatience.ref();
    void done.then(() => {
      impatience.cancel();
      resolve();
    });
  });
}

export interface EventLines {
  readonly print: Print;
  /**
   * Resolves when what was printed is written, cannot be, or takes too long: the rest is lost. The command should have nothing
   * left to do: its process ends soon.
   */
  end(): Promise<void>;
  /** Resolves when nobody reads any more, as behind `| head`: what is printed from then on is lost. */
  readonly readerGone: Promise<void>;
}

/**
 * @param json a JSON object a line, by pino, with `level`, `time` and `event`
 * @param unlimited events of which each is printed, if the reader keeps up
 */
export function eventLines(
  json: boolean,
  clock: Clock = systemClock,
  unlimited: ReadonlySet<string> = new Set(),
): EventLines {
  const output = new LineOutput();
  let hadRoom = true;
  const destination = {
    write(line: string) {
      hadRoom = output.write(line);
    },
  };
  const writeText = (event: string, fields: Fields) => destination.write(`${textLine(event, fields)}\n`);
  const writeLine = json ? jsonWriter(destination) : writeText;
  const write: Write = (event, fields) => {
    writeLine(event, fields);
    return hadRoom;
  };
  const lines = new LimitedLines(write, clock, unlimited);
  const finish = async () => {
    if (!lines.end()) {
      await output.flushed();
      lines.end();
    }
    await output.flushed();
  };
  const end = async () => {
    await withinTime(finish(), clock);
    endSoon();
  };
  return { print: (event, fields) => lines.print(event, fields), end, readerGone: output.readerGone };
}
