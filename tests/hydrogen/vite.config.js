// As Hydrogen's own releases are laid out: assets/ with hashes in the names, theme-element.json without one, sw.js at the top.
import {copyFileSync, cpSync, readdirSync} from "node:fs";
import {defineConfig} from "vite";

const sdk = "node_modules/hydrogen-view-sdk";

export default defineConfig({
    base: "./",
    build: {
        outDir: "target",
        target: "esnext",
        rollupOptions: {
            output: {
                hashCharacters: "hex",
                assetFileNames: "assets/[name].[hash][extname]",
                chunkFileNames: "assets/[name].[hash].js",
                entryFileNames: "assets/[name].[hash].js",
            },
        },
    },
    plugins: [
        {
            name: "themes",
            closeBundle() {
                const themes = `${sdk}/asset-build/assets`;
                const manifest = readdirSync(themes).find((name) => /^theme-element-[0-9a-f]+\.json$/.test(name));
                cpSync(themes, "target/assets", {recursive: true});
                copyFileSync(`${themes}/${manifest}`, "target/assets/theme-element.json");
                copyFileSync(`${sdk}/lib-build/sw.js`, "target/sw.js");
            },
        },
    ],
});
