/** The door of `explain/`: plans, failures and hosts made readable. Reads values, does nothing. */
export {
  type ChangedArgument,
  comparePlans,
  type PlanComparison,
  type PlanDifference,
  type PlanSide,
  type SidedOp,
} from "./diff.ts";
export { diagnose } from "./doctor.ts";
export { explainFailure } from "./failure.ts";
export { type ExplainedLayer, explainImage, type ImageExplanation, type ImageStep } from "./image.ts";
export { diffImages, type FileChange } from "./image-diff.ts";
export { explainPlan } from "./plan.ts";
export { renderComparison } from "./render-diff.ts";
export { renderDiagnosis, renderDiagnosisJson } from "./render-doctor.ts";
export { renderImage } from "./render-image.ts";
export { renderPlan, renderPlanJson } from "./render-plan.ts";
export { renderTruth } from "./render-truth.ts";
export {
  compareTruth,
  type TruthExplanation,
  type TruthRow,
  type TruthState,
  truthWishes,
} from "./truth.ts";
export * from "./types.ts";
export { type ProbeOutcome, renderWhy, type WhyExplanation } from "./why/render.ts";
export { type LiftFacts, type Restriction, restrictionsOf } from "./why/restrictions.ts";
export { type Cause, type Findings, findCauses } from "./why/search.ts";
