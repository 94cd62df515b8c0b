/** Counters in the text format of Prometheus (exposition format 0.0.4). */

const durationBuckets = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 300] as const;

interface Histogram {
  readonly counts: number[];
  sum: number;
  total: number;
}

export class Metrics {
  private readonly requests = new Map<string, number>();
  private readonly durations = new Map<string, Histogram>();
  private readonly counters = new Map<string, number>();
  private readonly gauges = new Map<string, { readonly help: string; readonly read: () => number }>();
  inFlight = 0;

  /** One request that has ended. `operation` and `method` come from small sets, never from the client's text. */
  observe(operation: string, method: string, status: number, seconds: number): void {
    const key = `operation="${operation}",method="${method}",status="${status}"`;
    this.requests.set(key, (this.requests.get(key) ?? 0) + 1);
    let histogram = this.durations.get(operation);
    if (histogram === undefined) {
      histogram = { counts: durationBuckets.map(() => 0), sum: 0, total: 0 };
      this.durations.set(operation, histogram);
    }
    const bucket = durationBuckets.findIndex((bound) => seconds <= bound);
    if (bucket !== -1) histogram.counts[bucket]! += 1;
    histogram.sum += seconds;
    histogram.total += 1;
  }

  add(name: CounterName, amount = 1): void {
    this.counters.set(name, (this.counters.get(name) ?? 0) + amount);
  }

  gauge(name: string, help: string, read: () => number): void {
    this.gauges.set(name, { help, read });
  }

  render(): string {
    const lines: string[] = [];
    const family = (name: string, type: string, help: string): void => {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    };
    family("vitrine_registry_requests_total", "counter", "Requests answered.");
    for (const [labels, count] of this.requests)
      lines.push(`vitrine_registry_requests_total{${labels}} ${count}`);
    family("vitrine_registry_request_seconds", "histogram", "Time from request to the end of the answer.");
    for (const [operation, histogram] of this.durations) {
      let cumulative = 0;
      for (const [index, bound] of durationBuckets.entries()) {
        cumulative += histogram.counts[index]!;
        lines.push(
          `vitrine_registry_request_seconds_bucket{operation="${operation}",le="${bound}"} ${cumulative}`,
        );
      }
      const labels = `operation="${operation}"`;
      lines.push(
        `vitrine_registry_request_seconds_bucket{${labels},le="+Inf"} ${histogram.total}`,
        `vitrine_registry_request_seconds_sum{${labels}} ${histogram.sum}`,
        `vitrine_registry_request_seconds_count{${labels}} ${histogram.total}`,
      );
    }
    for (const [name, help] of Object.entries(counterHelp)) {
      family(name, "counter", help);
      lines.push(`${name} ${this.counters.get(name) ?? 0}`);
    }
    family("vitrine_registry_requests_in_flight", "gauge", "Requests being answered.");
    lines.push(`vitrine_registry_requests_in_flight ${this.inFlight}`);
    for (const [name, { help, read }] of this.gauges) {
      family(name, "gauge", help);
      lines.push(`${name} ${read()}`);
    }
    return `${lines.join("\n")}\n`;
  }
}

const counterHelp = {
  vitrine_registry_received_bytes_total: "Bytes of request bodies.",
  vitrine_registry_sent_bytes_total: "Bytes of response bodies.",
  vitrine_registry_blobs_pushed_total: "Blobs stored by uploads.",
  vitrine_registry_blobs_mounted_total: "Blobs mounted from other repositories.",
  vitrine_registry_manifests_pushed_total: "Manifests stored.",
  vitrine_registry_auth_failures_total: "Requests with wrong credentials.",
  vitrine_registry_events_dropped_total: "Webhook events that were given up.",
  vitrine_registry_upstream_fetches_total: "Manifests and blobs fetched from the upstream registry.",
  vitrine_registry_collected_bytes_total: "Bytes freed by garbage collection.",
} as const;

export type CounterName = keyof typeof counterHelp;
