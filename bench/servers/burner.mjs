// Takes SHARE of a processor in steps of a millisecond or so, and does nothing else.
const share = Number(process.env.SHARE)
const step = 2
console.log('{}')
const work = () => {
  for (const end = performance.now() + step * share; performance.now() < end;);
  setTimeout(work, step * (1 - share))
}
if (share > 0.98) for (;;);
work()
