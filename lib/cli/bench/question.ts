/** What a question of the benchmark is, and what its answer is made of: reports know no more than this. */
import type { Doubts } from './doubts.ts';
import type { Interval } from './estimate.ts';
import type { Scale } from './scale.ts';
import type { TargetName } from './targets.ts';
import type { EdgeName, Workshop } from './workshop.ts';

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Horizontal bars, in groups; the parts of a bar stand one after the other. */
export interface BarPlot {
  readonly kind: 'bars';
  readonly title: string;
  readonly unit: string;
  readonly groups: readonly {
    readonly label: string;
    readonly bars: readonly {
      readonly label: string;
      /** Of the whole bar: the smallest and the largest round. */
      readonly spread?: readonly [least: number, most: number];
      readonly parts: readonly { readonly name: string; readonly value: number }[];
    }[];
  }[];
}

export interface LinePlot {
  readonly kind: 'lines';
  readonly title: string;
  /** `whole`: there is nothing between its numbers. */
  readonly x: { readonly label: string; readonly whole?: boolean };
  readonly y: { readonly label: string };
  readonly lines: readonly {
    readonly name: string;
    /** By x; with the smallest and the largest round, where there are rounds. */
    readonly points: readonly (readonly [x: number, y: number, least?: number, most?: number])[];
  }[];
}

export type Plot = BarPlot | LinePlot;

/** What was measured of a target. */
export interface Measured {
  readonly target: TargetName;
  readonly value: number;
  /** Between what it is; `undefined`: that is not known, and no verdict is given. */
  readonly interval?: Interval | undefined;
  /** Factor by which that was widened at either end, beyond what rounds say. */
  readonly allowance?: number;
  /** What belongs to the figure: how it was had, what it does not say. */
  readonly note?: string;
  /** Whether other programs, or a standstill, disturbed the rounds that it is computed from; `undefined`: it is of all that the question measured. */
  readonly disturbed?: boolean;
  /** It cannot be, whatever the machine did meanwhile. */
  readonly doubtful?: boolean;
}

export interface Answer extends Doubts {
  /** In words, no more than was measured. */
  readonly words: readonly string[];
  /** What follows from that, said only where it is what was to be measured, and nothing disturbed it. */
  readonly conclusions?: readonly string[];
  readonly tables: readonly Table[];
  readonly plots: readonly Plot[];
  readonly measured: readonly Measured[];
  /**
   * CPU milliseconds of the native edge for a full handshake, sixteen at once, by its kind: what other questions measure just so, and
   * whether the machine kept its pace between them.
   */
  readonly natively?: Readonly<Record<string, number>>;
  /** Every round, for JSON. */
  readonly raw: unknown;
}

export interface Answered extends Omit<Answer, 'conclusions'> {
  readonly name: string;
  readonly title: string;
  /** It has no figures; a warning says why. */
  readonly failed: boolean;
  /** Of each contestant; where not all have as many, the fewest. */
  readonly rounds: number;
  /** Where not all have as many. */
  readonly mostRounds?: number | undefined;
}

export interface Question {
  /** As it is called on the command line. */
  readonly name: string;
  readonly title: string;
  /** One line of the command's help. */
  readonly asks: string;
  /** Edges it needs warm. */
  readonly edges: readonly EdgeName[];
  /** Of each contestant; where not all have as many, the fewest. */
  rounds(scale: Scale): number;
  /** Where not all have as many. */
  mostRounds?(scale: Scale): number;
  /** How long it takes, without their warm-up. */
  seconds(scale: Scale): number;
  answer(workshop: Workshop): Promise<Answer>;
}
