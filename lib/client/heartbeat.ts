/**
 * Is the key server still there? Asks before its idle time-out (30 s in the field) ends the connection, and soon when
 * requests wait and nothing comes: TCP would take minutes to notice.
 */
import type { Alarm, Clock } from '../clock.ts';

export interface HeartbeatSettings {
  readonly clock: Clock;
  /** Milliseconds of silence on an idle connection before it is asked. */
  readonly pingIntervalMs: number;
  /** Milliseconds of silence while requests wait before it is asked, and then until it is given up. */
  readonly pingTimeoutMs: number;
}

export interface HeartbeatEvents {
  isWaiting(): boolean;
  ping(): void;
  /** @param ms how long nothing came */
  onSilence(ms: number): void;
}

/** Timers may come a little before their time. */
const NEARLY = 0.9;

export class Heartbeat {
  readonly #settings: HeartbeatSettings;
  readonly #events: HeartbeatEvents;
  #alarm: Alarm;
  #dueAt: number;
  #heardAt: number;
  /** `undefined`: no ping is out. */
  #pingedAt: number | undefined;
  #heard = true;

  constructor(settings: HeartbeatSettings, events: HeartbeatEvents) {
    this.#settings = settings;
    this.#events = events;
    this.#heardAt = settings.clock.now();
    this.#dueAt = this.#heardAt + settings.pingTimeoutMs;
    this.#alarm = settings.clock.after(settings.pingTimeoutMs, () => this.#tick());
  }

  /** Any frame is a sign of life. Cheap: the time is looked at once a tick. */
  onFrame(): void {
    this.#heard = true;
  }

  stop(): void {
    this.#alarm.cancel();
  }

  #tick(): void {
    const { clock, pingTimeoutMs } = this.#settings;
    const now = clock.now();
    const overslept = now - this.#dueAt > pingTimeoutMs / 2;
    this.#dueAt = now + pingTimeoutMs;
    // Before the look, which may stop it.
    this.#alarm = clock.after(pingTimeoutMs, () => this.#tick());
    this.#look(now, overslept);
  }

  /** @param overslept this process was busy or stopped: what came meanwhile has not been read yet */
  #look(now: number, overslept: boolean): void {
    if (this.#heard || overslept) {
      this.#heard = false;
      this.#heardAt = now;
      this.#pingedAt = undefined;
    }
    const { pingIntervalMs, pingTimeoutMs } = this.#settings;
    const silentMs = now - this.#heardAt;
    const answerMs = pingTimeoutMs * NEARLY;
    if (this.#pingedAt !== undefined) {
      if (now - this.#pingedAt >= answerMs) this.#events.onSilence(Math.round(silentMs));
      return;
    }
    if (silentMs >= pingIntervalMs || (silentMs >= answerMs && this.#events.isWaiting())) {
      this.#pingedAt = now;
      this.#events.ping();
    }
  }
}
