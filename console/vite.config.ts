import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { optimizeLocales } from "./build/locales.ts";

// The content security policy allows no inline script, no inline style and nothing from elsewhere, so assets are never
// inlined and the module preload polyfill (an inline helper for old browsers) is left out.
export default defineConfig({
  plugins: [optimizeLocales(), react()],
  build: {
    target: "es2022",
    manifest: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  server: { proxy: { "/api": "http://127.0.0.1:6278", "/signin": "http://127.0.0.1:6278" } },
});
