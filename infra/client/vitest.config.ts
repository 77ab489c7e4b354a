import { defineConfig } from "vitest/config";

const test = {
  include: ["tests/helper/*.test.ts"],
  setupFiles: ["tests/helper/globals.ts"],
  testTimeout: 90_000,
  hookTimeout: 90_000,
};

export default defineConfig({ test });
