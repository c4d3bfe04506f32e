// /hello; /many?count=N&from=M: so many workers, each with a name of its own, that answer one call.
const CELL = {
  compatibilityDate: '2026-01-01',
  mainModule: 'cell.js',
  modules: { 'cell.js': 'export default { fetch() { return new Response("hello"); } };' },
};

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname !== '/many') return new Response('hello');
    const number = (name) => Number(url.searchParams.get(name));
    for (let i = 0; i < number('count'); i++) {
      const cell = env.LOADER.get(`cell-${number('from') + i}`, () => CELL);
      const answer = await cell.getEntrypoint().fetch('http://cell/');
      if ((await answer.text()) !== 'hello') throw new Error('no answer');
    }
    return new Response('done');
  },
};
