/** TorchScript programs, run by libtorch's own interpreter. They can do whatever libtorch can, files included. */
import { showCall } from "./call.ts";
import { type Handle, native } from "./native.ts";
import { Owned } from "./scope.ts";
import { Tensor } from "./tensor.ts";

/** A loaded program in evaluation mode. Its tensors can be trained; its code cannot be looked into. */
export class Script extends Owned {
  /**
   * Loads what `torch.jit.save` wrote. Only for files that are trusted as much as an executable.
   * @throws Error with libtorch's reason when the file is no TorchScript program
   */
  static load(path: string, device = "cpu"): Script {
    return new Script(native.loadScript(path, device));
  }

  /** Parameters and buffers: the very tensors that the program computes with. */
  tensors(): { name: string; tensor: Tensor; parameter: boolean }[] {
    return native.scriptTensors(this.handle).map(({ name, tensor, parameter }) => {
      return { name, tensor: new Tensor(tensor), parameter };
    });
  }

  /**
   * Calls `forward` with one tensor; the hook on calls sees the call `script::forward` with the program and the tensor, and
   * may look into it with `calls`.
   * @throws Error when the program fails or returns anything but a tensor
   */
  forward(x: Tensor): Tensor {
    const result = new Tensor(native.runScript(this.handle, x.handle));
    showCall("script::forward", [this, x], result);
    return result;
  }

  /** A run of its own: operators that the program calls, with tensors and truth values among their arguments, and results. */
  calls(x: Tensor): [string, unknown[], unknown][] {
    const wrap = (value: Handle | boolean | undefined): unknown =>
      typeof value === "object" ? new Tensor(value) : value;
    return native
      .observeScript(this.handle, x.handle)
      .map(([name, args, results]) => [name, args.map(wrap), wrap(results[0])]);
  }
}
