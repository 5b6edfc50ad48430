// The pages that are looked at, with addresses that have something to show in the house of tests/console. One line a
// page; `ready` is what says that it is there.

export const PAGES = [
  { name: "home", path: "/" },
  { name: "sql", path: "/sql", ready: ".cm-content" },
  { name: "sync", path: "/sync" },
  { name: "sync-table", path: "/sync/shop/shop.orders" },
  { name: "topics", path: "/topics" },
  { name: "topic", path: "/topics/clicks" },
  { name: "dead-letters", path: "/topics/clicks/dead" },
  { name: "marts", path: "/marts" },
  { name: "mart", path: "/marts/finance.daily_sales" },
  { name: "run", path: "/runs/1" },
  { name: "access", path: "/access" },
  { name: "audit", path: "/audit" },
  { name: "settings", path: "/settings" },
];
