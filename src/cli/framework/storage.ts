/** A file of its own, to be loaded on use: commands without images never load the store. */
export { openMachineStore } from "../../api/mod.ts";
