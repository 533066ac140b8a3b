/// <reference types="vitest/config" />
import { defineConfig } from "vite";

export default defineConfig({
  // Nothing inlined: the page's policy allows no data: scripts or styles.
  build: { assetsInlineLimit: 0, target: "es2022" },
  server: { proxy: { "/v1": "http://127.0.0.1:5000", "/static": "http://127.0.0.1:5000" } },
  test: { include: ["src/**/*.test.ts"] },
});
