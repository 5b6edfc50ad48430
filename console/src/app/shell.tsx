// The frame around every page: navigation, account menu, palette, help, and the page itself.

import { Keyboard, Menu as MenuIcon, Search, UserRound, X } from "lucide-react";
import { type ComponentType, lazy, Suspense, useEffect, useState } from "react";
import { send } from "../api/client";
import { useLanguage, useText } from "../i18n";
import { Boundary } from "../ui/boundary";
import { IconButton } from "../ui/button";
import { Empty } from "../ui/empty";
import { Keys } from "../ui/keys";
import { Menu, MenuItem, MenuSection } from "../ui/menu";
import { ProblemBox } from "../ui/problem";
import { Loading } from "../ui/progress";
import { Link, match, navigate, type Params, ParamsProvider, useLocation } from "./router";
import { type Route, routes } from "./routes";
import { forgetMe, type Me, SessionProvider, useMe } from "./session";
import styles from "./shell.module.css";
import { listenToKeys, type Shortcut, useShortcuts } from "./shortcuts";
import { shellText } from "./text";
import { setTheme, useTheme } from "./theme";

const Palette = lazy(() => import("./palette"));
const Help = lazy(() => import("./help"));

const pages = new Map<string, ComponentType>(routes.map((route) => [route.name, lazy(route.page)]));

function findRoute(path: string): { route: Route; params: Params } | undefined {
  for (const route of routes) {
    for (const pattern of route.paths) {
      const params = match(pattern, path);
      if (params) return { route, params };
    }
  }
  return undefined;
}

/** The console: asks who is signed in, then shows the page of the address. */
export function App() {
  const text = useText(shellText);
  const { path } = useLocation();
  const found = findRoute(path);
  const me = useMe();
  useEffect(listenToKeys, []);
  if (found?.route.open) {
    return (
      <main className={styles.open} id="content">
        <Page route={found.route} params={found.params} />
      </main>
    );
  }
  if (me.isPending) return <Loading label={text.loading} whole />;
  if (me.isError) return <Whole child={<ProblemBox error={me.error} onRetry={() => me.refetch()} />} />;
  if (!me.data) return <SignedOut />;
  return (
    <SessionProvider value={me.data}>
      <Frame me={me.data} found={found} />
    </SessionProvider>
  );
}

function Whole({ child }: { child: React.ReactNode }) {
  return (
    <main className={styles.open} id="content">
      {child}
    </main>
  );
}

/** Leads to the sign-in page where there is one; else says how this naru is opened. */
function SignedOut() {
  const text = useText(shellText);
  const signIn = routes.find((route) => route.name === "signin")?.paths[0];
  const back = location.pathname + location.search;
  useEffect(() => {
    if (signIn) navigate(`${signIn}?to=${encodeURIComponent(back)}`, { replace: true });
  }, [signIn, back]);
  if (signIn) return null;
  return <Whole child={<Empty title={text.signedOutTitle} hint={text.signedOutHint} />} />;
}

function Page({ route, params }: { route: Route; params: Params }) {
  const text = useText(shellText);
  const Content = pages.get(route.name);
  return (
    <Boundary key={route.name}>
      <Suspense fallback={<Loading label={text.loading} />}>
        <ParamsProvider value={params}>{Content && <Content />}</ParamsProvider>
      </Suspense>
    </Boundary>
  );
}

function Frame({ me, found }: { me: Me; found: ReturnType<typeof findRoute> }) {
  const text = useText(shellText);
  const { language } = useLanguage();
  const { path } = useLocation();
  const [open, setOpen] = useState<"palette" | "help" | undefined>();
  const [drawer, setDrawer] = useState(false);
  const shown = routes.filter((route) => route.label && (me.admin || !route.admin));

  const keys: Shortcut[] = [
    { keys: "mod+k", label: text.search, run: () => setOpen("palette") },
    { keys: "?", label: text.help, run: () => setOpen("help") },
    ...shown.flatMap((route) =>
      route.keys
        ? [{ keys: route.keys, label: text.goTo(route.label?.[language] ?? ""), run: () => navigate(route.paths[0]) }]
        : [],
    ),
  ];
  useShortcuts(keys);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new path closes the drawer
  useEffect(() => setDrawer(false), [path]);
  useEffect(() => {
    const name = found?.route.label?.[language];
    document.title = name ? `${name} · ${me.project}` : me.project;
  }, [found?.route, language, me.project]);

  return (
    <div className={styles.frame}>
      <a className={styles.skip} href="#content">
        {text.skip}
      </a>
      <header className={styles.top}>
        <IconButton
          label={drawer ? text.closeNavigation : text.openNavigation}
          icon={drawer ? X : MenuIcon}
          onPress={() => setDrawer(!drawer)}
          className={styles.burger}
        />
        <Link to="/" className={styles.brand}>
          <img src="/icon.svg" alt="" width="24" height="24" />
          <span>{me.project}</span>
        </Link>
        <button type="button" className={styles.search} onClick={() => setOpen("palette")}>
          <Search size={16} aria-hidden />
          <span>{text.search}</span>
          <Keys keys="mod+k" />
        </button>
        <IconButton label={text.help} icon={Keyboard} onPress={() => setOpen("help")} className={styles.help} />
        <Account me={me} />
      </header>
      <nav className={styles.nav} aria-label={text.navigation} data-open={drawer || undefined}>
        <ul>
          {shown.map((route) => (
            <li key={route.name}>
              <Link to={route.paths[0]} aria-current={found?.route.name === route.name ? "page" : undefined}>
                {route.icon && <route.icon size={18} aria-hidden />}
                <span>{route.label?.[language]}</span>
              </Link>
            </li>
          ))}
        </ul>
      </nav>
      <main id="content" tabIndex={-1} className={found?.route.wide ? styles.wide : styles.main}>
        {found ? <Page route={found.route} params={found.params} /> : <NotFound />}
      </main>
      <Suspense>
        {open === "palette" && <Palette onClose={() => setOpen(undefined)} admin={me.admin} />}
        {open === "help" && <Help onClose={() => setOpen(undefined)} />}
      </Suspense>
    </div>
  );
}

function NotFound() {
  const text = useText(shellText);
  return <Empty title={text.notFoundTitle} hint={text.notFoundHint} action={{ label: text.toHome, to: "/" }} />;
}

async function signOut(): Promise<void> {
  try {
    await send("POST", "/signin/out");
  } finally {
    // Nobody is signed in again without asking (pages/signin/quiet.ts).
    localStorage.removeItem("naru.signed-in");
    forgetMe();
  }
}

function Account({ me }: { me: Me }) {
  const text = useText(shellText);
  const { language, setLanguage } = useLanguage();
  const theme = useTheme();
  const settings = routes.find((route) => route.name === "settings");
  return (
    <Menu trigger={<IconButton label={`${text.account}: ${me.shown}`} icon={UserRound} />}>
      <MenuSection title={me.shown} hint={me.name === me.shown ? undefined : me.name}>
        {settings && <MenuItem onAction={() => navigate(settings.paths[0])}>{text.settings}</MenuItem>}
      </MenuSection>
      <MenuSection title={text.language}>
        <MenuItem isChosen={language === "ko"} onAction={() => setLanguage("ko")}>
          한국어
        </MenuItem>
        <MenuItem isChosen={language === "en"} onAction={() => setLanguage("en")}>
          English
        </MenuItem>
      </MenuSection>
      <MenuSection title={text.theme}>
        <MenuItem isChosen={theme === "system"} onAction={() => setTheme("system")}>
          {text.themeSystem}
        </MenuItem>
        <MenuItem isChosen={theme === "light"} onAction={() => setTheme("light")}>
          {text.themeLight}
        </MenuItem>
        <MenuItem isChosen={theme === "dark"} onAction={() => setTheme("dark")}>
          {text.themeDark}
        </MenuItem>
      </MenuSection>
      <MenuSection>
        <MenuItem onAction={signOut}>{text.signOut}</MenuItem>
      </MenuSection>
    </Menu>
  );
}
