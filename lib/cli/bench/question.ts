/** What a question of the benchmark is, and what its answer is made of: reports know no more than this. */
import type { Scale } from './scale.ts';
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
      readonly parts: readonly { readonly name: string; readonly value: number }[];
    }[];
  }[];
}

export interface LinePlot {
  readonly kind: 'lines';
  readonly title: string;
  readonly x: { readonly label: string };
  readonly y: { readonly label: string };
  readonly lines: readonly {
    readonly name: string;
    /** [x, y], by x. */
    readonly points: readonly (readonly [number, number])[];
  }[];
}

export type Plot = BarPlot | LinePlot;

/** What this project promises of a figure, and what was measured. */
export interface Verdict {
  readonly claim: string;
  readonly measured: number;
  readonly least?: number | undefined;
  readonly most?: number | undefined;
  readonly unit: string;
}

export function isMet({ measured, least = -Infinity, most = Infinity }: Verdict): boolean {
  return measured >= least && measured <= most;
}

export interface Answer {
  /** In words, no more than was measured. */
  readonly words: readonly string[];
  readonly tables: readonly Table[];
  readonly plots: readonly Plot[];
  readonly verdicts: readonly Verdict[];
  /** Why the figures are to be doubted. */
  readonly warnings: readonly string[];
  /** Every round, for JSON. */
  readonly raw: unknown;
}

export interface Question {
  /** As it is called on the command line. */
  readonly name: string;
  readonly title: string;
  /** One line of the command's help. */
  readonly asks: string;
  /** Edges it needs warm. */
  readonly edges: readonly EdgeName[];
  /** How long it takes, without their warm-up. */
  seconds(scale: Scale): number;
  answer(workshop: Workshop): Promise<Answer>;
}
