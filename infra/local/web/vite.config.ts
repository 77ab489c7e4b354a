import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  base: "./", // wherever the files are put
  resolve: {
    alias: {
      "@videomaker/client/helper": here("../../client/src/helper/index.ts"),
      "@videomaker/client": here("../../client/src/index.ts"),
      "openapi-fetch": here("node_modules/openapi-fetch"),
    },
  },
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: { target: "es2022", modulePreload: { polyfill: false }, assetsInlineLimit: 0 },
});
