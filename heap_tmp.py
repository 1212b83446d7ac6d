import h5py, tempfile, keepmap, sys, random, os, signal
from pathlib import Path
d=Path(tempfile.mkdtemp())
h=keepmap.collect("darkroom", size=2, learners=1, episodes=2, horizon=3, out=d/"a.hdf5")
with h5py.File(h.path,"a") as f:
    for n,v in [*f.attrs.items()]:
        f.attrs[n]=v.decode() if isinstance(v,bytes) else v
print(keepmap.open_histories(h.path))
c=h.path.read_bytes(); at=c.index(b"GCOL"); print(at,len(c),c[at:at+64])
import collections
res=collections.Counter()
def alarm(*a): raise SystemExit
for pos in range(at,at+400):
    for v in (0,255,1):
        b=bytearray(c); b[pos]=v; 
        if bytes(b)==c: continue
        h.path.write_bytes(b)
        pid=os.fork()
        if pid==0:
            signal.alarm(5)
            try: keepmap.open_histories(h.path); os._exit(0)
            except keepmap.KeepmapError as e: os._exit(2)
            os._exit(3)
        st=os.waitpid(pid,0)[1]; res[st]+=1
        if st not in (0,512): print(pos-at,v,st)
print(res)
