/** Which targets are met: nothing that was not measured, not what was to be measured, not undisturbed, or not well enough to know, counts as one. */
import type { Interval } from './estimate.ts';
import { number } from './figures-in-words.ts';
import { changesPace } from './pace.ts';
import type { Answered } from './question.ts';
import { TARGETS, type Target, type TargetName } from './targets.ts';

export const STATES = ['met', 'not met', 'not certain', 'not measured'] as const;
export type State = (typeof STATES)[number];

export interface Verdict extends Target {
  readonly name: TargetName;
  readonly state: State;
  /** NaN (in JSON null): not measured. */
  readonly measured: number;
  /** Between what that is; `undefined`: not known. */
  readonly interval?: Interval | undefined;
  /** What belongs to the figure: how it was had, what it does not say. */
  readonly note?: string | undefined;
}

/** Where a part of the interval is on either side of a limit, the rounds do not tell. */
export function stateOf(
  { least = -Infinity, most = Infinity }: Target,
  interval: Interval | undefined,
): State {
  if (interval === undefined || !interval.every(Number.isFinite)) return 'not certain';
  const [lowest, highest] = interval;
  if (lowest >= least && highest <= most) return 'met';
  return highest < least || lowest > most ? 'not met' : 'not certain';
}

/** @returns what is left for what one pair of processes does not show, and what it would take to meet the target with it */
export function allowanceInWords({ least, most, unit }: Target, allowance: number): string {
  const left = `${Math.round((allowance - 1) * 100)} % are left on either side, for what one pair of processes does not show`;
  const [lowest, highest] = [(least ?? 0) * allowance, (most ?? Infinity) / allowance];
  if (lowest > highest) return `${left}: so it cannot be met`;
  const limits = [
    least === undefined ? [] : [`${number(lowest)} ${unit} or more`],
    most === undefined ? [] : [`${number(highest)} ${unit} or less`],
  ];
  return `${left}: to be met takes ${limits.flat().join(' and ')}`;
}

const DISTURBED = 'something disturbed these rounds';
const AT_ITS_PACE = "the machine's speed changed between questions";

/** Of two machines, or of one that changes its speed, it is not the same; of bytes, and of a ratio, it may be. */
const isOfPace = ({ unit }: Target) => unit === 'ms';

function judge(name: TargetName, answers: readonly Answered[]): Verdict {
  const target: Target = TARGETS[name];
  const answer = answers.find((each) => each.name === target.question);
  const {
    value = Number.NaN,
    interval,
    note,
    allowance,
    disturbed = answer?.disturbed ?? false,
    doubtful = false,
  } = answer?.measured.find((each) => each.target === name) ?? {};
  const isUnsteady = isOfPace(target) && changesPace(answers);
  const reasons = [disturbed ? DISTURBED : undefined, isUnsteady ? AT_ITS_PACE : undefined];
  const notes = [...reasons, note, allowance && allowanceInWords(target, allowance)].filter(
    (each) => each !== undefined,
  );
  const verdict = { ...target, name, measured: value, interval, note: notes.join('; ') || undefined };
  if (!Number.isFinite(value)) return { ...verdict, state: 'not measured' };
  if (answer?.disowned === true || disturbed || isUnsteady || doubtful)
    return { ...verdict, state: 'not certain' };
  return { ...verdict, state: stateOf(target, interval) };
}

/** @returns one for each target, asked for or not */
export function verdictsOf(answers: readonly Answered[]): Verdict[] {
  return (Object.keys(TARGETS) as TargetName[]).map((name) => judge(name, answers));
}

/** Those of the questions that were asked: what is shown. */
export function shownOf(verdicts: readonly Verdict[], answers: readonly Answered[]): Verdict[] {
  return verdicts.filter(({ question }) => answers.some(({ name }) => name === question));
}

/** @returns those that there are */
export const limitsOf = ({ least, most }: Target) => [least, most].filter((limit) => limit !== undefined);

/** @returns for example `at most 0.52 ×` */
export function limitOf({ least, most, unit }: Target): string {
  const limits = [
    least === undefined ? [] : [`at least ${number(least)} ${unit}`],
    most === undefined ? [] : [`at most ${number(most)} ${unit}`],
  ];
  return limits.flat().join(', ');
}

/** How many of all targets, in each state. */
export function countOf(verdicts: readonly Verdict[]): string {
  const count = (state: State) => verdicts.filter((each) => each.state === state).length;
  const [met, ...others] = STATES;
  const rest = others.filter((state) => count(state) > 0).map((state) => `${count(state)} ${state}`);
  return `${[`${count(met)} of ${verdicts.length} targets met`, ...rest].join(', ')}.`;
}
