"""Curvature ⟨∇²J v, v⟩ of a mini-batch loss, exactly and below the price of a Hessian-vector product."""
