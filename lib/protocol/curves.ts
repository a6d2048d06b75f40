/** The NIST curves: is a point on the curve? (SEC 1 §2.3.4; parameters from SP 800-186 §3.2.1.) */

interface Curve {
  /** Bytes of one coordinate. */
  readonly bytes: number;
  readonly p: bigint;
  readonly b: bigint;
}

const P256: Curve = {
  bytes: 32,
  p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
  b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
};
const P384: Curve = {
  bytes: 48,
  p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
  b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
};
const P521: Curve = {
  bytes: 66,
  p: 2n ** 521n - 1n,
  b: 0x0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
};

export const NIST_CURVES = { p256: P256, p384: P384, p521: P521 } as const;

const UNCOMPRESSED = 0x04;

function coordinate(point: Uint8Array, from: number, bytes: number): bigint {
  return BigInt(`0x${Buffer.from(point.buffer, point.byteOffset + from, bytes).toString('hex')}`);
}

/**
 * Whether the bytes are an uncompressed point of the curve: its coordinates below p, and y² = x³ − 3x + b.
 * The points are public: nothing here needs constant time.
 */
export function isOnCurve({ bytes, p, b }: Curve, point: Uint8Array): boolean {
  if (point.length !== 1 + 2 * bytes || point[0] !== UNCOMPRESSED) return false;
  const x = coordinate(point, 1, bytes);
  const y = coordinate(point, 1 + bytes, bytes);
  if (x >= p || y >= p) return false;
  return (y * y - (x * x * x - 3n * x + b)) % p === 0n;
}
