// Hydrogen's own parts put together as a web client: which server it is for, it reads from config.json beside it.
import {FeatureSet, Platform, RootViewModel, createNavigation, createRouter} from "hydrogen-view-sdk";
import "hydrogen-view-sdk/theme-element-light.css";
import downloadSandbox from "hydrogen-view-sdk/download-sandbox.html?url";
import worker from "hydrogen-view-sdk/main.js?url";
import olmWasm from "@matrix-org/olm/olm.wasm?url";
import olmBundle from "@matrix-org/olm/olm.js?url";
import olmLegacy from "@matrix-org/olm/olm_legacy.js?url";

const platform = new Platform({
    container: document.body,
    assetPaths: {
        downloadSandbox,
        worker,
        olm: {wasm: olmWasm, wasmBundle: olmBundle, legacyBundle: olmLegacy},
        serviceWorker: "sw.js",
    },
    configURL: "config.json",
    options: {development: false},
});
await platform.init();
const features = await FeatureSet.load(platform.settingsStorage);
const navigation = createNavigation();
platform.setNavigation(navigation);
const urlRouter = createRouter({navigation, history: platform.history});
urlRouter.attach();
const root = new RootViewModel({platform, urlRouter, navigation, features});
await root.load();
platform.createAndMountRootView(root);
