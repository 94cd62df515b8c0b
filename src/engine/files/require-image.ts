import { VitrineError } from "../../base/mod.ts";
import type { Container } from "../containers/record.ts";

/** Error: `container-without-image`, for one that was made of a directory. */
export function requireImage(container: Container, hint: string): void {
  if (container.imageId !== "") return;
  throw new VitrineError(
    "unsupported",
    `container ${container.name} was made of a directory, not of an image`,
    { code: "container-without-image", operand: container.name, hint },
  );
}
