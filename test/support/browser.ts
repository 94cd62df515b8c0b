/** A real browser (Debian's Chromium, headless), driven by its own protocol over a WebSocket. */
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";

export interface Browser extends AsyncDisposable {
  /** Opens an address and waits until it has loaded. */
  open(url: string): Promise<void>;
  /** The value of an expression in the page, which works whether or not the page may run scripts. */
  evaluate<T>(expression: string): Promise<T>;
  /** Clicks on the first element of a CSS selector with the mouse, and waits for the page it leads to. */
  follow(selector: string): Promise<void>;
  /** Lets pages run scripts, or not. */
  setScripts(enabled: boolean): Promise<void>;
  resize(width: number, height: number): Promise<void>;
  /** What pages wrote to the console and what the browser blocked, since the start. */
  readonly complaints: readonly string[];
  screenshot(): Promise<Uint8Array>;
}

const flags = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...[
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
  ],
];

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
  readonly params?: Record<string, unknown>;
}

export async function startBrowser(program: string, directory: string): Promise<Browser> {
  const profile = path.join(directory, "chromium");
  fs.mkdirSync(profile, { recursive: true });
  const child = spawn(
    program,
    [...flags, `--user-data-dir=${profile}`, "--remote-debugging-port=0", "about:blank"],
    {
      env: { ...process.env, HOME: profile, XDG_RUNTIME_DIR: profile, DBUS_SESSION_BUS_ADDRESS: "disabled:" },
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  const socket = new WebSocket(await addressOf(child));
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve, { once: true });
    socket.addEventListener("error", reject, { once: true });
  });
  const waiting = new Map<number, (message: Message) => void>();
  const listeners = new Map<string, (() => void)[]>();
  const complaints: string[] = [];
  let count = 0;
  let session: string | undefined;
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(String(data)) as Message;
    if (message.id !== undefined) waiting.get(message.id)?.(message);
    if (message.method === "Log.entryAdded" || message.method === "Runtime.consoleAPICalled") {
      complaints.push(JSON.stringify(message.params));
    }
    for (const listener of listeners.get(message.method ?? "")?.splice(0) ?? []) listener();
  });
  const call = (method: string, params: object = {}): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      const id = ++count;
      waiting.set(id, ({ result, error }) => {
        waiting.delete(id);
        if (error === undefined) resolve(result ?? {});
        else reject(new Error(`${method}: ${error.message}`));
      });
      socket.send(
        JSON.stringify({ id, method, params, ...(session === undefined ? {} : { sessionId: session }) }),
      );
    });
  const once = (method: string): Promise<void> =>
    new Promise((resolve) => {
      listeners.set(method, [...(listeners.get(method) ?? []), resolve]);
    });
  const { targetInfos } = (await call("Target.getTargets")) as {
    targetInfos: { targetId: string; type: string }[];
  };
  const { targetId } = targetInfos.find(({ type }) => type === "page")!;
  session = (await call("Target.attachToTarget", { targetId, flatten: true }))["sessionId"] as string;
  for (const domain of ["Page", "Runtime", "Log", "DOM"]) await call(`${domain}.enable`);
  const evaluate = async <T>(expression: string): Promise<T> => {
    const { result, exceptionDetails } = (await call("Runtime.evaluate", {
      expression,
      returnByValue: true,
    })) as {
      result: { value: T };
      exceptionDetails?: { text: string };
    };
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${exceptionDetails.text}`);
    return result.value;
  };
  return {
    complaints,
    evaluate,
    async open(url) {
      const loaded = once("Page.loadEventFired");
      await call("Page.navigate", { url });
      await loaded;
    },
    async follow(selector) {
      const found = await evaluate<{ x: number; y: number }>(
        `(() => { const e = document.querySelector(${JSON.stringify(selector)}); e.scrollIntoView();
          const r = e.getClientRects()[0]; return { x: r.x + r.width / 2, y: r.y + r.height / 2 }; })()`,
      );
      // Before a page is drawn for the first time the browser drops clicks on it.
      await call("Page.captureScreenshot");
      const loaded = once("Page.loadEventFired");
      for (const type of ["mousePressed", "mouseReleased"]) {
        await call("Input.dispatchMouseEvent", { type, ...found, button: "left", clickCount: 1 });
      }
      await loaded;
    },
    async setScripts(enabled) {
      await call("Emulation.setScriptExecutionDisabled", { value: !enabled });
    },
    async resize(width, height) {
      await call("Emulation.setDeviceMetricsOverride", {
        width,
        height,
        deviceScaleFactor: 1,
        mobile: false,
      });
    },
    async screenshot() {
      const { data } = (await call("Page.captureScreenshot")) as { data: string };
      return Buffer.from(data, "base64");
    },
    async [Symbol.asyncDispose]() {
      socket.close();
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
    },
  };
}

function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stderr!.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      const match = /DevTools listening on (ws:\S+)/.exec(text);
      if (match !== null) resolve(match[1]!);
    });
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`the browser ended: ${text}`)));
  });
}
