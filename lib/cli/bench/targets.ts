/** What this project promises of its figures: the only place that says so. */
export interface Target {
  /** The question that measures it, by its name. */
  readonly question: string;
  readonly claim: string;
  readonly least?: number;
  readonly most?: number;
  readonly unit: string;
}

const RATIO = { unit: '×' } as const;
/** As much as native. */
const EQUAL = { least: 0.97, most: 1.03, unit: '×' } as const;

export const TARGETS = {
  rsaCost: {
    ...{
      question: 'handshakes',
      claim: 'RSA-2048, TLS 1.3: edge CPU, remote over native',
      most: 0.52,
      ...RATIO,
    },
  },
  rsaGain: {
    ...{
      question: 'handshakes',
      claim: 'RSA-2048, TLS 1.3: handshakes for each edge core',
      least: 1.9,
      ...RATIO,
    },
  },
  ecCost: {
    ...{
      question: 'handshakes',
      claim: 'P-256, TLS 1.3: edge CPU, remote over native',
      most: 1.08,
      ...RATIO,
    },
  },
  resumed13: { question: 'resumed', claim: 'Resumed, TLS 1.3: edge CPU, remote over native', ...EQUAL },
  resumed12: { question: 'resumed', claim: 'Resumed, TLS 1.2: edge CPU, remote over native', ...EQUAL },
  rsaShim: {
    ...{ question: 'shim', most: 1.03, ...RATIO },
    claim: 'Shim alone, RSA-2048, signature not verified: edge CPU over native',
  },
  rsaShimVerified: {
    ...{ question: 'shim', most: 1.03, ...RATIO },
    claim: 'Shim alone, RSA-2048, signature verified (default): edge CPU over native',
  },
  ecShim: { question: 'shim', claim: 'Shim alone, P-256: edge CPU over native', most: 1.05, ...RATIO },
  isolate: {
    question: 'isolate',
    claim: 'Isolate, RSA-2048, two cores: rate over native',
    least: 1.3,
    ...RATIO,
  },
  addedLatency: {
    ...{ question: 'load', most: 0.4, unit: 'ms' },
    claim: 'P-256 at half load: median latency, remote more than native',
  },
  bulk: { question: 'bulk', claim: 'Bulk transfer: edge CPU for each byte, remote over native', ...EQUAL },
  memory: { question: 'memory', claim: "A paused handshake's memory, over native's", most: 80, unit: 'KB' },
} as const satisfies Readonly<Record<string, Target>>;

export type TargetName = keyof typeof TARGETS;
