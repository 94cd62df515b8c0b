/** The door of `explain/`: plans, failures and hosts made readable. Reads values, does nothing. */
export { explainPlan } from "./plan.ts";
export { renderPlan, renderPlanJson } from "./render-plan.ts";
export * from "./types.ts";
