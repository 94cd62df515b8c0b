export { encodeReasons, joinPlan } from "../runtime/mod.ts";
