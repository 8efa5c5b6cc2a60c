{
  # `hub-pathway setup` makes build/libtorch a link to the libtorch in use, whose real path may have spaces, and says
  # whether that one has CUDA. The compiled addon is build/Release/hub_pathway.node.
  "variables": { "cuda%": 0 },
  "targets": [
    {
      "target_name": "hub_pathway",
      "sources": ["<!@(ls native/*.cc)"],
      "include_dirs": ["build/libtorch/include", "build/libtorch/include/torch/csrc/api/include"],
      "library_dirs": ["build/libtorch/lib"],
      "defines": ["NAPI_EXPERIMENTAL"],
      # Node's own settings forbid exceptions and run-time types, which libtorch needs.
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++20", "-O2", "-fexceptions", "-frtti"],
      "ldflags": ["-Wl,-rpath,'$$ORIGIN/../libtorch/lib'", "-Wl,-z,nodelete"],
      "libraries": ["-ltorch_cpu", "-lc10"],
      "conditions": [
        # Nothing refers to the CUDA library by name: it registers its kernels when it is loaded.
        ["cuda==1", { "libraries": ["-Wl,--no-as-needed", "-ltorch", "-ltorch_cuda", "-Wl,--as-needed"] }]
      ]
    }
  ]
}
