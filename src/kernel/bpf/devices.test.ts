import assert from "node:assert/strict";
import { test } from "node:test";
import { instructionBytes } from "./abi.ts";
import { compileDeviceProgram, type DevicePolicy, type DeviceRule } from "./devices.ts";
import { type DeviceRequest, runDeviceProgram } from "./interpreter.ts";

const rule = (text: string): DeviceRule => {
  const [verdict, type, numbers, access] = text.split(" ");
  const [major, minor] = numbers!.split(":").map((word) => (word === "*" ? undefined : Number(word)));
  return { allow: verdict === "allow", type: type as "c" | "b", major, minor, access: access! };
};
const request = (text: string): DeviceRequest => {
  const [type, numbers, access] = text.split(" ");
  const [major, minor] = numbers!.split(":").map(Number);
  return { type: type as "c" | "b", major: major!, minor: minor!, access: access! };
};

function check(policy: DevicePolicy, expected: Readonly<Record<string, boolean>>): void {
  const program = compileDeviceProgram(policy);
  for (const [text, allowed] of Object.entries(expected)) {
    assert.equal(runDeviceProgram(program, request(text)), allowed, text);
  }
}

test("what every container may do", () => {
  const rules = ["allow c *:* m", "allow b *:* m", "allow c 1:3 rwm", "allow c 136:* rwm"].map(rule);
  check(
    { allow: false, rules },
    {
      "c 1:3 rw": true,
      "c 1:3 r": true,
      "c 1:5 r": false,
      "c 1:5 m": true,
      "b 8:0 m": true,
      "b 8:0 r": false,
      "b 8:0 rm": false,
      "b 1:3 r": false,
      "c 136:7 rw": true,
    },
  );
});

test("nothing and everything are four and two instructions after the context is read", () => {
  const head = 6;
  assert.equal(compileDeviceProgram({ allow: false, rules: [] }).length, (head + 2) * instructionBytes);
  check({ allow: false, rules: [] }, { "c 1:3 r": false });
  check({ allow: true, rules: [] }, { "b 8:0 rwm": true });
});

test("an open for reading and writing needs one rule that allows both; rules of the same devices add up", () => {
  check({ allow: false, rules: [rule("allow c 1:3 r"), rule("allow c 1:3 w")] }, { "c 1:3 rw": true });
  check(
    { allow: false, rules: [rule("allow c 1:* r"), rule("allow c 1:3 w")] },
    { "c 1:3 rw": false, "c 1:3 r": true },
  );
});

test("a denial of any part denies", () => {
  check(
    { allow: true, rules: [rule("deny b 8:* w")] },
    { "b 8:1 r": true, "b 8:1 rw": false, "b 8:1 w": false, "b 9:1 w": true, "c 8:1 w": true },
  );
});

test("a denial takes its part out of a wider permission, and what is allowed later holds again", () => {
  const rules = ["allow c 10:* rw", "deny c 10:200 rw"].map(rule);
  check({ allow: false, rules }, { "c 10:200 r": false, "c 10:199 rw": true });
  check(
    { allow: false, rules: [...rules, rule("allow c 10:200 r")] },
    { "c 10:200 r": true, "c 10:200 rw": false },
  );
});

test("what was denied stays denied when another access of the same devices is allowed", () => {
  const rules = ["allow c 1:3 r", "deny c 1:* r", "allow c 1:3 w"].map(rule);
  check({ allow: false, rules }, { "c 1:3 r": false, "c 1:3 w": true, "c 1:3 rw": false });
  const crossed = ["allow c 1:* r", "deny c *:3 r", "allow c 1:* w"].map(rule);
  check(
    { allow: false, rules: crossed },
    { "c 1:3 r": false, "c 1:3 rw": false, "c 1:4 r": true, "c 1:3 w": true },
  );
});

/** The kernel's own controller (security/device_cgroup.c): exceptions from a default, found by their exact numbers. */
function controller(policy: DevicePolicy): (asked: DeviceRequest) => boolean {
  const exceptions: { type: string; major?: number; minor?: number; access: Set<string> }[] = [];
  for (const { allow, type, major, minor, access } of policy.rules) {
    const found = exceptions.find((one) => one.type === type && one.major === major && one.minor === minor);
    if (allow !== policy.allow) {
      if (found === undefined) exceptions.push({ type, major, minor, access: new Set(access) });
      else for (const letter of access) found.access.add(letter);
    } else {
      for (const letter of access) found?.access.delete(letter);
      if (found?.access.size === 0) exceptions.splice(exceptions.indexOf(found), 1);
    }
  }
  return (asked) => {
    const match = exceptions.some(
      ({ type, major, minor, access }) =>
        type === asked.type &&
        (major ?? asked.major) === asked.major &&
        (minor ?? asked.minor) === asked.minor &&
        (policy.allow
          ? [...asked.access].some((letter) => access.has(letter))
          : [...asked.access].every((letter) => access.has(letter))),
    );
    return match !== policy.allow;
  };
}

/** crun's program: the last rule that is about the devices and has all of the access. */
function lastMatch(policy: DevicePolicy): (asked: DeviceRequest) => boolean {
  return (asked) => {
    const found = [...policy.rules]
      .reverse()
      .find(
        ({ type, major, minor, access }) =>
          type === asked.type &&
          (major ?? asked.major) === asked.major &&
          (minor ?? asked.minor) === asked.minor &&
          [...asked.access].every((letter) => access.includes(letter)),
      );
    return found?.allow ?? policy.allow;
  };
}

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 16) % below;
  };
}

const accesses = ["r", "w", "m", "rw", "rm", "wm", "rwm"];
const every: DeviceRequest[] = (["c", "b"] as const).flatMap((type) =>
  [1, 2].flatMap((major) =>
    [3, 4].flatMap((minor) => accesses.map((access) => ({ type, major, minor, access }))),
  ),
);

function compare(
  name: string,
  model: (policy: DevicePolicy) => (asked: DeviceRequest) => boolean,
  make: (below: (most: number) => number) => DevicePolicy,
): void {
  const below = random(7);
  for (let round = 0; round < 3000; round++) {
    const policy = make(below);
    const program = compileDeviceProgram(policy);
    const expected = model(policy);
    for (const asked of every) {
      assert.equal(
        runDeviceProgram(program, asked),
        expected(asked),
        `${name}: ${JSON.stringify({ policy, asked })}`,
      );
    }
  }
}

test("as the v1 controller, and so as runc, which emulates it: rules of the same devices or of others", () => {
  compare("v1", controller, (below) => ({
    allow: below(2) === 1,
    // Exact numbers alone: where a denial cuts into a wildcard, v1 passes over it and runc refuses the config.
    rules: Array.from({ length: below(7) }, () => ({
      allow: below(2) === 1,
      type: below(2) === 1 ? ("c" as const) : ("b" as const),
      major: 1 + below(2),
      minor: 3 + below(2),
      access: accesses[below(accesses.length)]!,
    })),
  }));
});

test("as the v1 controller: permissions with wildcards", () => {
  compare("v1", controller, (below) => ({
    allow: false,
    rules: Array.from({ length: below(7) }, () => ({
      allow: true,
      type: below(2) === 1 ? ("c" as const) : ("b" as const),
      major: below(3) === 0 ? undefined : 1 + below(2),
      minor: below(3) === 0 ? undefined : 3 + below(2),
      access: accesses[below(accesses.length)]!,
    })),
  }));
});

test("as crun's program: any order of rules for all access, wildcards too", () => {
  compare("crun", lastMatch, (below) => ({
    allow: below(2) === 1,
    rules: Array.from({ length: below(7) }, () => ({
      allow: below(2) === 1,
      type: below(2) === 1 ? ("c" as const) : ("b" as const),
      major: below(3) === 0 ? undefined : 1 + below(2),
      minor: below(3) === 0 ? undefined : 3 + below(2),
      access: "rwm",
    })),
  }));
});

test("the interpreter refuses what the verifier would", () => {
  assert.throws(() => runDeviceProgram(new Uint8Array(8), request("c 1:3 r")), /unknown instruction/);
  assert.throws(() => runDeviceProgram(new Uint8Array(0), request("c 1:3 r")), /no end/);
});
