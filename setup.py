"""Packages ssl_jax; `pip install -e .` installs all that is needed on the CPU."""

import pathlib

import setuptools

setuptools.setup(
    name='ssl_jax',
    version='0.1.0',
    description='Self-supervised image representations in JAX: SimCLR, MoCo, BYOL, '
                'SimSiam, NNCLR, Barlow Twins, VICReg, LeJEPA, SwAV, RotNet, and '
                'evaluations that compare them.',
    long_description=pathlib.Path('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=[*setuptools.find_packages(include=['ssl_jax', 'ssl_jax.*']),
              'ssl_jax.packaged.configs', 'ssl_jax.packaged.configs.studies'],
    package_dir={'ssl_jax.packaged.configs': 'configs'},  # see config_file.ROOT
    entry_points={'console_scripts': ['ssl-jax = ssl_jax.command:main']},
    package_data={'ssl_jax.report': ['*.html', '*.js']},
    python_requires='>=3.11',
    classifiers=[f'Programming Language :: Python :: 3.{minor}'
                 for minor in (11, 12, 13)],
    install_requires=[
        'absl-py',
        'array-record',           # the file format that tfds.data_source reads
        'clu',
        'flatbuffers',            # jax.export serializes by it
        'flax>=0.12',
        'grain',                  # decodes streamed data in parallel
        'importlib_resources',    # tensorflow-datasets needs it and does not declare it
        'jax>=0.10',              # on Python 3.11 pip installs 0.10.2, the last for it
        'jinja2',                 # renders the page of the report
        'matplotlib',
        'ml-collections',
        'numpy',
        'optax>=0.2.5',
        'orbax-checkpoint>=0.11',
        'pillow',
        'qwix>=0.1.8',            # number formats of quantized weights
        'safetensors',            # weights of encoders, out and in
        'scikit-learn',           # has the data set `digits`
        'tensorboardX',           # writes event files without TensorFlow
        'tensorflow-datasets>=4.9.7',
    ],
    extras_require={
        'cuda': ['jax[cuda13]>=0.10'],
        'report': ['openTSNE'],   # maps of representations by t-SNE
        'tpu': ['jax[tpu]>=0.10'],
        'torch': ['torch>=2.6'],  # reads .ckpt, .pt and .pth files of weights
        'parquet': ['pyarrow'],   # reads data sets, and writes vectors
        # It installs orbax-checkpoint 0.11.36, which also works here.
        'onnx': ['jax2onnx>=0.17.1', 'onnxruntime'],
        'test': ['pytest>=8', 'pytest-xdist', 'ruff'],
    },
)
