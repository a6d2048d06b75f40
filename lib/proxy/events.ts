/** What a proxy tells whoever runs it. Text of peers is escaped; nothing here is a secret. */

/** A request of HTTP, answered or not. */
export interface RequestRecord {
  readonly kind: 'http' | 'upgrade';
  readonly host: string;
  readonly client: string;
  /** `undefined`, as are path and version: it could not be read. */
  readonly method: string | undefined;
  /** Without its query, which may hold what is nobody's business. */
  readonly path: string | undefined;
  /** `499`: the client went before the answer was complete. */
  readonly status: number;
  /** Of the answer's body. */
  readonly bytes: number;
  readonly durationMs: number;
  /** `HTTP/1.1`, `HTTP/2.0` */
  readonly version: string | undefined;
  /** Why the backend gave no (whole) answer; `undefined`: it did. */
  readonly error: string | undefined;
}

/** A connection whose bytes are passed on as they are. */
export interface StreamRecord {
  readonly kind: 'tcp';
  readonly host: string;
  readonly client: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
  readonly error: string | undefined;
}

export interface Refusal {
  /** That the client has named, by its label. */
  readonly host?: string | undefined;
  /** In words. */
  readonly why?: string | undefined;
}

export interface ProxyEvents {
  onRecord(record: RequestRecord | StreamRecord): void;
  /** A client asked for a name that no certificate has. */
  onUnknownHost(name: string): void;
  /** A connection that did not get through TLS, or whose neighbour may not send it. */
  onRefused(client: string, reason: string, more: Refusal): void;
  /** This code was wrong about a connection, which was ended for it. */
  onProblem(client: string, reason: string): void;
}

/** Of a proxy, from its start. */
export interface ProxyStats {
  connections: number;
  accepted: number;
  refused: number;
  requests: number;
  backendErrors: number;
}
