"""TorchScript programs of small networks, and what PyTorch 2.11 computes with them: `python make.py FOLDER`.

The archives here were packed again without their `.debug_pkl` entries, which nothing reads.
"""
import torch,torch.nn as nn,torch.nn.functional as F,sys,os
from typing import Optional,List,Dict,Tuple
out=sys.argv[1]; os.makedirs(out,exist_ok=True)
torch.manual_seed(0)
class Attention(nn.Module):
    def __init__(s,d:int,h:int):
        super().__init__(); s.h=h; s.qkv=nn.Linear(d,3*d); s.proj=nn.Linear(d,d)
        s.scale: Optional[float]=None
    def forward(s,x,mask:Optional[torch.Tensor]=None):
        b,n,d=x.shape
        q,k,v=s.qkv(x).reshape(b,n,3,s.h,d//s.h).permute(2,0,3,1,4).unbind(0)
        y=F.scaled_dot_product_attention(q,k,v,attn_mask=mask)
        a=torch.einsum('bhnd,bhmd->bhnm',q,k).softmax(-1)
        return s.proj((y+0.1*(a@v)).transpose(1,2).reshape(b,n,d))
class Block(nn.Module):
    def __init__(s,d,h):
        super().__init__(); s.n1=nn.LayerNorm(d); s.a=Attention(d,h); s.n2=nn.LayerNorm(d); s.m=nn.Sequential(nn.Linear(d,2*d),nn.GELU(),nn.Dropout(0.1),nn.Linear(2*d,d)); s.g=nn.Parameter(torch.full((d,),0.5))
    def forward(s,x):
        x=x+s.g*s.a(s.n1(x)); return x+s.m(s.n2(x))
class Net(nn.Module):
    def __init__(s,d=16,res=16):
        super().__init__()
        s.stem=nn.Sequential(nn.Conv2d(3,8,3,2,1,bias=False),nn.BatchNorm2d(8),nn.ReLU(inplace=True))
        s.patch=nn.Conv2d(8,d,2,2); s.pos=nn.Parameter(torch.randn(1,d,8,8)*0.02); s.cls=nn.Parameter(torch.zeros(1,1,d))
        s.blocks=nn.ModuleList([Block(d,4) for _ in range(2)]); s.norm=nn.LayerNorm(d); s.names=['a','b']; s.sizes={'x':1}
        s.register_buffer('idx',torch.arange(16).flip(0))
    def tokens(s,x)->Dict[str,torch.Tensor]:
        assert x.shape[1]==3, f"expected 3 channels, got {x.shape[1]}"
        x=s.patch(s.stem(x)); b,d,h,w=x.shape
        pos=F.interpolate(s.pos,size=(h,w),mode='bicubic',align_corners=False,antialias=True)
        x=(x+pos).flatten(2).transpose(1,2)
        x=torch.cat([s.cls.expand(b,-1,-1),x],1)
        kept:List[torch.Tensor]=[]
        for i,blk in enumerate(s.blocks):
            x=blk(x); kept.append(x)
        x=s.norm(x)
        return {'cls':x[:,0],'patches':x[:,1:][:,s.idx % 16],'last':kept[-1]}
    def forward(s,x):
        if x.dim()!=4: raise ValueError("a batch of pictures is needed, not {}".format(x.dim()))
        t=s.tokens(x)
        return t['patches']*float(len(s.names))/(x.shape[-1]//8)
net=Net().eval()
for p in net.parameters():
    if p.dim()>1: torch.nn.init.normal_(p,std=0.2)
net.stem[1].running_mean.normal_(); net.stem[1].running_var.uniform_(0.5,2)
x=torch.linspace(-1,1,3*16*16).reshape(1,3,16,16)
with torch.no_grad():
    y=net(x)
    torch.jit.script(net).save(out+'/scripted.pt'); torch.jit.trace(net,x).save(out+'/traced.pt')
    torch.jit.freeze(torch.jit.script(net)).save(out+'/frozen.pt')
class Kept(nn.Module):
    def __init__(s):
        super().__init__(); s.w=torch.zeros(2,2); s.training=False
    @torch.jit.export
    def __getstate__(s): return (s.w*2.0, s.training)
    @torch.jit.export
    def __setstate__(s,state:Tuple[torch.Tensor,bool]):
        s.w=state[0]*0.5; s.training=state[1]
    def forward(s,x): return x[:,:, ::8, ::8].flatten(2).transpose(1,2) + s.w.sum()
k=Kept(); k.w=torch.full((2,2),0.75); k=k.eval()
torch.jit.script(k).save(out+'/setstate.pt')
import numpy as np
np.savez(out+'/expected.npz',x=x.numpy(),y=y.numpy(),kept=k(x).numpy())
