// The pages that are looked at, with addresses that have something to show in the house of tests/console. One line a
// page; `ready` is what says that it is there.

export const PAGES = [
  { name: "home", path: "/" },
  { name: "sql", path: "/sql", ready: ".cm-content" },
];
